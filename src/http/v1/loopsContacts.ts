import { z } from 'zod';
import { buildDeleteCall, buildWriteCall } from '../../audience/apiCalls.ts';
import type { ContactWrite } from '../../audience/apiWrite.ts';
import { requireOne } from '../../audience/contacts.ts';
import { normalizeEmail } from '../../audience/emails.ts';
import { makeEmailTie } from '../../audience/people.ts';
import { callPeople } from '../../audience/personCall.ts';
import { createProperty, listProperties } from '../../audience/properties.ts';
import { retypeProperty } from '../../audience/retype.ts';
import { unsuppress, viewSuppression } from '../../audience/suppressions.ts';
import type { Context } from '../../context.ts';
import { invalid } from '../../errors.ts';
import { makeId } from '../../id.ts';
import { suppressAddress } from '../../mail/feedback.ts';
import { type Route, route } from '../route.ts';
import * as example from './examples.ts';
import { contactBody, requireShort, writeOf } from './loopsShapes.ts';
import { done } from './shapes.ts';

const tag = 'Contacts';
const PATH = '/api/v1/contacts';
const saved = z.object({ success: z.literal(true), id: z.string() });
const by = { email: z.string().max(500).optional(), userId: z.string().max(500).optional() };
const quota = z.object({ limit: z.number(), remaining: z.number() });
const type = z.enum(['string', 'number', 'boolean', 'date']);
const PROPERTIES =
  'Keys beside these are custom properties; one that does not exist yet is made with its value’s type.';

async function write(ctx: Context, mode: 'create' | 'upsert', body: ContactWrite) {
  const options = { key: makeId('req', ctx.now()), source: 'API' };
  const { contactId } = await callPeople(ctx.people, buildWriteCall(mode, body, options));
  return { success: true, id: contactId };
}

export const loopsContactRoutes: Route[] = [
  route('POST', `${PATH}/create`, {
    summary: 'Create a contact',
    description: `Subscribed unless it says otherwise. 409 when the address or the user id is known. ${PROPERTIES}`,
    tag,
    errors: [409],
    body: contactBody,
    example: { email: 'mary@example.com', firstName: 'Mary', userGroup: 'Customers', planName: 'pro' },
    response: saved,
    answer: example.saved,
    handle: async ({ ctx, body }) => {
      requireShort(body);
      const given = writeOf(body);
      if (given.email === undefined) throw invalid('Invalid email address.');
      return write(ctx, 'create', given);
    },
  }),
  route('PUT', `${PATH}/update`, {
    summary: 'Update a contact, or create it',
    description: `By address or user id; given both, the one that matches finds the contact and the other is changed. What is absent stays, null clears. ${PROPERTIES}`,
    tag,
    body: contactBody,
    example: { email: 'grace@example.com', userId: 'user_42', planName: 'team', seats: 5 },
    response: saved,
    answer: example.saved,
    handle: async ({ ctx, body }) => {
      requireShort(body);
      return write(ctx, 'upsert', writeOf(body));
    },
  }),
  route('POST', `${PATH}/delete`, {
    summary: 'Delete a contact',
    description:
      'By exactly one of email and userId. Later webhooks about the same persons at providers do not bring it back; a new create does.',
    tag,
    errors: [404],
    body: z.object({ email: z.string().nullable().optional(), userId: z.string().nullable().optional() }),
    example: { email: 'mary@example.com' },
    response: z.object({ success: z.literal(true), message: z.string() }),
    answer: { success: true, message: 'Contact deleted.' },
    handle: async ({ ctx, body }) => {
      requireShort(body);
      const whom = requireOne({ email: body.email?.trim() || undefined, userId: body.userId?.trim() || undefined });
      await callPeople(ctx.people, buildDeleteCall(whom, { key: makeId('req', ctx.now()) }));
      return { success: true, message: 'Contact deleted.' };
    },
  }),
  route('GET', `${PATH}/suppression`, {
    summary: 'Is mail to a contact suppressed?',
    description: 'By exactly one of email and userId. Bounces and complaints suppress an address.',
    tag,
    errors: [404],
    query: z.strictObject(by),
    response: z.object({
      contact: z.object({ id: z.string(), email: z.string(), userId: z.string().nullable() }),
      isSuppressed: z.boolean(),
      removalQuota: quota,
    }),
    answer: example.suppression,
    handle: ({ ctx, query }) => ctx.store.read(async tx => viewSuppression(tx, requireOne(query), ctx.now())),
  }),
  route('POST', `${PATH}/suppression`, {
    summary: 'Suppress an address that bounced or complained',
    description:
      'For what comes back after a mail was accepted. No mail goes there from now on, and the opt-out is kept with its reason, also where nobody has the address now: a bounce is of the address, a complaint of the person too. Saying it again changes nothing.',
    tag,
    audit: {
      action: 'suppression.add',
      person: (_, { email }) => makeEmailTie(normalizeEmail(email)),
      detail: (_, { reason }) => ({ reason }),
    },
    body: z.strictObject({ email: z.string().max(254), reason: z.enum(['bounce', 'complaint', 'manual']) }),
    example: { email: 'ada@example.com', reason: 'complaint' },
    response: done,
    answer: example.done,
    handle: async ({ ctx, body }) => {
      await suppressAddress(ctx, body.email, body.reason);
      return { success: true };
    },
  }),
  route('DELETE', `${PATH}/suppression`, {
    summary: 'Let mail reach a contact again',
    description: 'By exactly one of email and userId, in the query. At most 100 in 30 days.',
    tag,
    audit: {
      action: 'suppression.remove',
      person: ({ email, userId }) => (email ? makeEmailTie(normalizeEmail(email)) : `user:${userId}`),
    },
    errors: [404],
    query: z.strictObject(by),
    response: z.object({ success: z.literal(true), message: z.string(), removalQuota: quota }),
    answer: {
      success: true,
      message: 'Email removed from suppression list.',
      removalQuota: { limit: 100, remaining: 99 },
    },
    handle: ({ ctx, query }) => ctx.store.write(async tx => unsuppress(tx, requireOne(query), ctx.now())),
  }),
  route('GET', `${PATH}/properties`, {
    summary: 'What a contact can hold',
    tag,
    query: z.strictObject({ list: z.enum(['all', 'custom']).default('all') }),
    response: z.array(z.object({ key: z.string(), label: z.string(), type })),
    answer: [{ key: 'planName', label: 'Plan Name', type: 'string' }],
    handle: ({ ctx, query }) => ctx.store.read(tx => listProperties(tx, query.list)),
  }),
  route('POST', `${PATH}/properties`, {
    summary: 'Make a contact property',
    tag,
    audit: { action: 'property.create', detail: (_, { name, type: given }) => ({ name, type: given }) },
    body: z.strictObject({ name: z.string().max(500), type }),
    example: { name: 'companySize', type: 'number' },
    response: done,
    answer: example.done,
    handle: async ({ ctx, body }) => {
      await ctx.store.write(tx => createProperty(tx, body.name.trim(), body.type, ctx.now()));
      ctx.people.definitions.invalidate();
      return { success: true };
    },
  }),
  route('PATCH', `${PATH}/properties/:propertyKey`, {
    summary: 'Give a contact property another type',
    description:
      'Values are kept as they came: a job goes through the contacts and shows, of each, the newest value that fits the new type. No workflow starts by it. Filters of workflows that compare the property stay as they are: look at them.',
    tag,
    audit: {
      action: 'property.retype',
      subject: 'property',
      target: params => params.propertyKey ?? '',
    },
    errors: [404],
    body: z.strictObject({ type }),
    example: { type: 'number' },
    response: done,
    answer: example.done,
    handle: async ({ ctx, params, body }) => {
      await ctx.store.write(tx => retypeProperty(tx, params.propertyKey ?? '', body.type, ctx.now()));
      ctx.people.definitions.invalidate();
      return { success: true };
    },
  }),
];
