import { z } from 'zod';
import { countActivity, listActivity } from '../../audience/activity.ts';
import { buildDeleteCall } from '../../audience/apiCalls.ts';
import { findContacts, getContact, viewContacts } from '../../audience/contacts.ts';
import { normalizeEmail } from '../../audience/emails.ts';
import { makeEmailTie } from '../../audience/people.ts';
import { callPeople } from '../../audience/personCall.ts';
import { buildContactSearch } from '../../audience/search.ts';
import { contacts, events } from '../../db/schema.ts';
import { invalid } from '../../errors.ts';
import { buildEventSearch, viewEvents } from '../../events/events.ts';
import { erasePerson } from '../../history/erase.ts';
import { parseWhom } from '../../history/findPerson.ts';
import { makeId } from '../../id.ts';
import { countSoftBounces } from '../../mail/reports.ts';

import { decodeCursor, describePage, pageQuery, wrapPage } from '../page.ts';
import { type Route, route } from '../route.ts';
import * as example from './examples.ts';
import { listRoute } from './listRoute.ts';
import { contactView, eventView, moment, time } from './shapes.ts';

const tag = 'Contacts';
const PATH = '/api/v1/contacts';
const timed = contactView.extend({ createdAt: time, updatedAt: time });
const whole = timed.extend({
  emails: z.array(z.string()).describe('Now and formerly'),
  userIds: z.array(z.string()),
  sharedAddress: z
    .literal(true)
    .optional()
    .describe(
      'As many persons of one provider show this address as are tied by one; facts of further ones count as those of the address alone',
    ),
  softBounces: z
    .number()
    .optional()
    .describe('Mails to this contact that did not arrive though the address may be good; absent: none'),
  identities: z.array(
    z.object({
      provider: z.string(),
      namespace: z.string().describe("Its endpoint's settings.namespace"),
      personId: z.string().nullable(),
      deleted: z.boolean(),
      firstSeenAt: time,
    }),
  ),
});
/** Whom an erasure names, as a tie. */
const tieOf = (
  given: Partial<Record<'email' | 'userId' | 'provider' | 'providerId' | 'namespace', string | undefined>>,
): string => {
  const { email, userId, provider, providerId, namespace } = given;
  if (email !== undefined) return makeEmailTie(normalizeEmail(email));
  return userId === undefined ? `${namespace ? `${provider}@${namespace}` : provider}:${providerId}` : `user:${userId}`;
};
const entry = z.object({
  id: z.string(),
  at: time,
  kind: z.enum(['delivery', 'event', 'run', 'mail', 'change']),
  summary: z.string(),
  deliveryId: z.string().nullable(),
  detail: z.record(z.string(), z.unknown()),
});

const ERASED =
  'Nothing that tells of the person stays: identities, payloads, events, runs, mails and calls go (copies in the log within moments, in the background), and hashes keep old webhooks and replays from bringing them back. That they want no mail, or that mail to them bounced, stays known as a hash. Who signs up anew, with another id at the provider or through the API, is somebody new.';

/** The filters of contacts, for the page and for the export. */
export const filters = {
  q: z.string().max(254).optional().describe('How the address begins'),
  name: z.string().max(500).optional().describe('How the first or the last name begins, in any case'),
  userId: z.string().max(500).optional().describe('A user id, now or formerly'),
  listId: z.string().max(64).optional(),
  userGroup: z.string().max(500).optional(),
  source: z.string().max(500).optional(),
  subscribed: z
    .enum(['true', 'false'])
    .transform(text => text === 'true')
    .optional(),
  createdSince: moment.optional(),
  createdUntil: moment.optional(),
};

export const contactRoutes: Route[] = [
  listRoute(PATH, {
    summary: 'Search contacts, newest first',
    description: 'Filters hold together. Each is answered by an index; counts are exact up to 10,000.',
    tag,
    table: contacts,
    filters,
    row: timed,
    example: example.contact,
    search: buildContactSearch,
    view: viewContacts,
  }),
  route('GET', `${PATH}/find`, {
    summary: 'Find a contact by address or user id',
    description: 'Exactly one of email and userId. An array with no or one contact, as Loops answers it.',
    tag,
    query: z.strictObject({ email: z.string().max(254).optional(), userId: z.string().max(500).optional() }),
    response: z.array(contactView),
    answer: [example.found],
    handle: ({ ctx, query }) => ctx.store.read(tx => findContacts(tx, query)),
  }),
  route('GET', `${PATH}/:id`, {
    summary: 'One contact, with the identities behind it',
    tag,
    errors: [404],
    response: whole,
    answer: example.person,
    handle: ({ ctx, params }) =>
      ctx.store.read(async tx => {
        const contact = await getContact(tx, params.id);
        const softBounces = await countSoftBounces(tx, contact.id);
        return { ...contact, ...(softBounces > 0 && { softBounces }) };
      }),
  }),
  route('DELETE', `${PATH}/:id`, {
    summary: 'Delete a contact, or erase the person',
    description: `As POST /contacts/delete. ${ERASED} The id of a contact that was removed, or became part of another one, finds whoever was behind it.`,
    tag,
    audit: {
      action: 'person.erase',
      person: (_, __, { id }) => `contact:${id}`,
      when: query => query.erase === 'true',
    },
    errors: [404],
    query: z.strictObject({ erase: z.enum(['true', 'false']).default('false') }),
    response: z.object({ success: z.literal(true), message: z.string() }),
    answer: { success: true, message: 'Contact deleted.' },
    handle: async ({ ctx, params, query }) => {
      const id = params.id;
      const now = ctx.now();
      if (query.erase === 'true') await erasePerson(ctx, { id });
      else await callPeople(ctx.people, buildDeleteCall({ id }, { key: makeId('req', now) }));
      ctx.wake();
      return { success: true, message: query.erase === 'true' ? 'Contact erased.' : 'Contact deleted.' };
    },
  }),
  route('DELETE', PATH, {
    summary: 'Erase a person by address, user id or provider id',
    description: `With erase=true only; POST /contacts/delete deletes a contact. Exactly one of email, userId, and provider with providerId (and namespace, where the endpoint has one). Also where no contact is left. ${ERASED}`,
    tag,
    audit: { action: 'person.erase', person: tieOf },
    errors: [404],
    query: z.strictObject({
      email: z.string().max(254).optional(),
      userId: z.string().max(500).optional(),
      provider: z.string().max(64).optional().describe('stripe, clerk, supabase or polar'),
      providerId: z.string().max(255).optional().describe("The person's id there, such as cus_123"),
      namespace: z.string().max(40).optional(),
      erase: z.enum(['true', 'false']).default('false'),
    }),
    response: z.object({ success: z.literal(true), message: z.string() }),
    answer: { success: true, message: 'Person erased.' },
    handle: async ({ ctx, query: { erase, ...given } }) => {
      if (erase !== 'true')
        throw invalid('erase: must be true here. POST /contacts/delete deletes a contact without erasing the person.');
      await erasePerson(ctx, parseWhom(given));
      return { success: true, message: 'Person erased.' };
    },
  }),
  route('GET', `${PATH}/:id/activity`, {
    summary:
      'What happened to a contact: deliveries, events, workflow runs, mails and changes by the API, newest first',
    tag,
    errors: [404],
    query: z.strictObject(pageQuery),
    response: describePage(entry),
    answer: example.makePage(example.entry),
    handle: async ({ ctx, params, query: { perPage, cursor } }) => {
      const { id } = await ctx.store.read(tx => getContact(tx, params.id));
      const rows = await ctx.store.read(tx => listActivity(tx, id, decodeCursor(cursor), perPage + 1));
      const shown = rows.slice(0, perPage);
      const last = rows.length > perPage ? shown.at(-1) : undefined;
      const total = await countActivity(ctx.store, id);
      const request = { perPage, url: `${ctx.config.publicUrl}${PATH}/${id}/activity`, filters: {} };
      const data = shown.map(({ age: _, ...each }) => ({ ...each, at: new Date(each.at).toISOString() }));
      return wrapPage(request, data, total, last?.age ?? null);
    },
  }),
  listRoute('/api/v1/events', {
    summary: 'Events, newest first',
    tag: 'Events',
    table: events,
    filters: {
      name: z.string().max(500).optional(),
      email: z.string().max(254).optional(),
      contactId: z.string().max(64).optional(),
      since: moment.optional(),
      until: moment.optional(),
    },
    row: eventView,
    example: example.event,
    search: buildEventSearch,
    view: viewEvents,
  }),
];
