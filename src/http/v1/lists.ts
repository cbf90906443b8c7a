import { z } from 'zod';
import { createKey, type Key, listKeys, revokeKey } from '../../access/keys.ts';
import { createList, deleteList, loadAllLists, thinList, updateList, viewList } from '../../audience/lists.ts';
import { formatTime } from '../../time.ts';
import { type Route, route } from '../route.ts';
import * as example from './examples.ts';
import { done, time } from './shapes.ts';

const list = z.object({ id: z.string(), name: z.string(), description: z.string().nullable(), isPublic: z.boolean() });
const name = z.string().trim().min(1).max(255);
const description = z.string().max(1000).nullable();
const LISTS = '/api/v1/lists';

export const listRoutes: Route[] = [
  route('GET', LISTS, {
    summary: 'All mailing lists',
    tag: 'Lists',
    response: z.array(list),
    answer: [example.list],
    handle: async ({ ctx }) => (await ctx.store.read(loadAllLists)).map(viewList),
  }),
  route('POST', LISTS, {
    summary: 'Make a mailing list',
    tag: 'Lists',
    audit: { action: 'list.create', subject: 'list' },
    status: 201,
    body: z.strictObject({ name, description: description.optional(), isPublic: z.boolean().optional() }),
    example: { name: 'Product updates', description: 'What is new, once a month' },
    response: list,
    answer: example.list,
    handle: async ({ ctx, body }) => {
      const list = await ctx.store.write(tx => createList(tx, body, ctx.now()));
      ctx.people.definitions.invalidate();
      return viewList(list);
    },
  }),
  route('PATCH', `${LISTS}/:id`, {
    summary: 'Change a mailing list',
    tag: 'Lists',
    audit: { action: 'list.update', subject: 'list' },
    errors: [404],
    body: z.strictObject({
      name: name.optional(),
      description: description.optional(),
      isPublic: z.boolean().optional(),
    }),
    example: { name: 'News' },
    response: list,
    answer: { ...example.list, name: 'News' },
    handle: async ({ ctx, params, body }) => viewList(await ctx.store.write(tx => updateList(tx, params.id, body))),
  }),
  route('DELETE', `${LISTS}/:id`, {
    summary: 'Remove a mailing list and its memberships',
    tag: 'Lists',
    audit: { action: 'list.delete', subject: 'list' },
    errors: [404, 409],
    response: done,
    answer: example.done,
    handle: async ({ ctx, params }) => {
      const id = params.id;
      while (await ctx.store.write(tx => thinList(tx, id)));
      await ctx.store.write(tx => deleteList(tx, id));
      ctx.people.definitions.invalidate();
      return { success: true };
    },
  }),
];

const scope = z.enum(['all', 'read']).describe('read: sees no bodies, changes nothing');
const key = z.object({
  id: z.string(),
  name: z.string(),
  hint: z.string(),
  createdAt: time,
  lastUsedAt: time.nullable(),
  scope,
});
const viewKey = (row: Key) => ({
  id: row.id,
  name: row.name,
  hint: row.hint,
  createdAt: formatTime(row.createdAt),
  lastUsedAt: formatTime(row.lastUsedAt),
  scope: row.scope,
});
const KEYS = '/api/v1/keys';

/** `forget`: drops what is cached of valid keys. */
export const listKeyRoutes = (forget: () => void): Route[] => [
  route('GET', '/api/v1/api-key', {
    summary: 'Test an API key',
    tag: 'Keys',
    response: z.object({ success: z.literal(true), teamName: z.string() }),
    answer: { success: true, teamName: 'Inlet' },
    handle: async () => ({ success: true, teamName: 'Inlet' }),
  }),
  route('GET', KEYS, {
    summary: 'API keys, newest first; never the keys themselves',
    tag: 'Keys',
    response: z.array(key),
    answer: [example.key],
    handle: async ({ ctx }) => (await ctx.store.read(listKeys)).map(viewKey),
  }),
  route('POST', KEYS, {
    summary: 'Make an API key, shown this once',
    description:
      'At most 100. With `scope` `read` it changes nothing and sees no bodies: no payloads and headers of deliveries, no payloads of calls, no mails.',
    tag: 'Keys',
    audit: { action: 'key.create', subject: 'key' },
    status: 201,
    errors: [409],
    body: z.strictObject({ name: z.string().trim().min(1).max(100), scope: scope.default('all') }),
    example: { name: 'dashboard' },
    response: key.extend({ key: z.string() }),
    answer: example.madeKey,
    handle: async ({ ctx, body }) => {
      const made = await ctx.store.write(tx => createKey(tx, body.name, ctx.now(), body.scope));
      return { ...viewKey(made.row), key: made.key };
    },
  }),
  route('DELETE', `${KEYS}/:id`, {
    summary: 'Revoke an API key',
    tag: 'Keys',
    audit: { action: 'key.revoke', subject: 'key' },
    errors: [404],
    response: done,
    answer: example.done,
    handle: async ({ ctx, params }) => {
      await ctx.store.write(tx => revokeKey(tx, params.id));
      forget();
      return { success: true };
    },
  }),
];
