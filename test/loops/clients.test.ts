import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import * as six from 'loops6';
import * as seven from 'loops7';
import { suppress } from '../../src/audience/suppressions.ts';
import { API_KEY, TestApp } from '../support/app.ts';

// The official clients, as they are on npm, against the running server: only their base URL is changed.
let app: TestApp;
let root = '';
beforeEach(async () => {
  app = await TestApp.open({}, { port: 0 });
  root = `${(await app.app.start()).url}/api/`;
});
afterEach(() => app.stop());

function client<T extends { apiRoot: string }>(Client: new (key: string) => T, key = API_KEY): T {
  const made = new Client(key);
  made.apiRoot = root;
  return made;
}

/** What both versions can do, under the names of the newer one. */
const versions = {
  'loops@7.3.0': {
    client: (key?: string) => {
      const made = client(seven.LoopsClient, key);
      return Object.assign(made, {
        properties: (list?: 'all' | 'custom') => made.listContactProperties(list),
        lists: () => made.listMailingLists(),
      });
    },
    APIError: seven.APIError,
    RateLimitExceededError: seven.RateLimitExceededError,
  },
  'loops@6.2.1': {
    client: (key?: string) => {
      const made = client(six.LoopsClient, key);
      return Object.assign(made, {
        properties: (list?: 'all' | 'custom') => made.getCustomProperties(list),
        lists: () => made.getMailingLists(),
      });
    },
    APIError: six.APIError,
    RateLimitExceededError: six.RateLimitExceededError,
  },
};

const list = async (name = 'News') => (await app.api('POST', '/lists', { name })).body.id as string;

for (const [version, { client: connect, APIError, RateLimitExceededError }] of Object.entries(versions)) {
  /** How a call fails: its status and the server's own message. */
  const failure = async (call: Promise<unknown>) => {
    const error = await call.then(
      () => null,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(APIError);
    const { statusCode, json } = error as seven.APIError;
    return [statusCode, (json as { success: boolean; message: string }).message];
  };

  describe(version, () => {
    test('testApiKey', async () => {
      expect(await connect().testApiKey()).toEqual({ success: true, teamName: 'Inlet' });
      expect(await failure(connect('wrong-key-0123456789abcdefghij').testApiKey())).toEqual([401, 'Invalid API key']);
    });

    test('createContact, findContact', async () => {
      const loops = connect();
      const news = await list();
      const made = await loops.createContact({
        email: 'Ada+1@x.co',
        properties: { userId: 'u 1/x&y', firstName: 'Ada', lastName: null, plan: 'pro', seats: 5, admin: true },
        mailingLists: { [news]: true },
      });
      expect(made).toEqual({ success: true, id: expect.any(String) });
      const contact = {
        id: made.id,
        email: 'ada+1@x.co',
        firstName: 'Ada',
        lastName: null,
        source: 'API',
        subscribed: true,
        userGroup: '',
        userId: 'u 1/x&y',
        mailingLists: { [news]: true },
        optInStatus: null,
        plan: 'pro',
        seats: 5,
        admin: true,
      };
      expect(await loops.findContact({ email: 'ada+1@x.co' })).toEqual([contact] as never);
      expect(await loops.findContact({ userId: 'u 1/x&y' })).toEqual([contact] as never);
      expect(await loops.findContact({ userId: 'nobody' })).toEqual([]);
      expect((await failure(loops.createContact({ email: 'ada+1@x.co' })))[0]).toBe(409);
      expect((await failure(loops.createContact({ email: 'b@x.co', properties: { userId: 'u 1/x&y' } })))[0]).toBe(409);
      expect(await failure(loops.createContact({ email: 'no address' }))).toEqual([400, 'Invalid email address.']);
      expect(await failure(loops.findContact({ email: 'no address' }))).toEqual([400, 'Invalid email address.']);
      const long = loops.createContact({ email: 'c@x.co', properties: { plan: 'x'.repeat(501) } });
      expect(await failure(long)).toEqual([400, 'Some body key or value is longer than allowable']);
      expect(await app.contacts()).toHaveLength(1);
    });

    test('updateContact', async () => {
      const loops = connect();
      const made = await loops.updateContact({ email: 'a@x.co', userId: 'u1', properties: { plan: 'pro' } });
      const news = await list();
      expect(await loops.updateContact({ userId: 'u1', mailingLists: { [news]: true } })).toEqual(made);
      expect(await loops.updateContact({ userId: 'u1', email: 'b@x.co', properties: { plan: null } })).toEqual(made);
      const [contact] = await loops.findContact({ email: 'b@x.co' });
      expect(contact).toMatchObject({ userId: 'u1', mailingLists: { [news]: true } });
      expect(contact).not.toHaveProperty('plan');
      await loops.updateContact({ userId: 'u1', properties: { subscribed: false }, mailingLists: { [news]: false } });
      expect(await loops.findContact({ userId: 'u1' })).toMatchObject([{ subscribed: false, mailingLists: {} }]);
      expect(await failure(loops.updateContact({ userId: 'u2' }))).toEqual([400, 'Contact not found.']);
      await loops.createContact({ email: 'c@x.co' });
      const two = loops.updateContact({ userId: 'u1', email: 'c@x.co' });
      expect(await failure(two)).toEqual([400, 'Multiple contacts found for the given criteria']);
    });

    test('deleteContact', async () => {
      const loops = connect();
      await loops.createContact({ email: 'a@x.co' });
      await loops.createContact({ email: 'b@x.co', properties: { userId: 'u2' } });
      const gone = { success: true, message: 'Contact deleted.' } as const;
      expect(await loops.deleteContact({ email: 'a@x.co' })).toEqual(gone);
      expect(await loops.deleteContact({ userId: 'u2' })).toEqual(gone);
      expect(await failure(loops.deleteContact({ email: 'a@x.co' }))).toEqual([404, 'Contact not found.']);
      expect(await app.contacts()).toEqual([]);
    });

    test('contact properties', async () => {
      const loops = connect();
      expect(await loops.createContactProperty('planName', 'string')).toEqual({ success: true });
      expect(await failure(loops.createContactProperty('planName', 'string'))).toEqual([
        400,
        'Property already exists.',
      ]);
      expect(await failure(loops.createContactProperty('email', 'string'))).toEqual([400, 'Property already exists.']);
      expect((await failure(loops.createContactProperty('x', 'list' as never)))[0]).toBe(400);
      const custom = [{ key: 'planName', label: 'Plan Name', type: 'string' as const }];
      expect(await loops.properties('custom')).toEqual(custom);
      expect(await loops.properties()).toEqual(
        expect.arrayContaining([{ key: 'firstName', label: 'First Name', type: 'string' as const }, ...custom]),
      );
    });

    test('mailing lists', async () => {
      const loops = connect();
      expect(await loops.lists()).toEqual([]);
      const id = await list();
      expect(await loops.lists()).toEqual([{ id, name: 'News', description: null, isPublic: false }]);
    });

    test('sendEvent, with its idempotency key', async () => {
      const loops = connect();
      const news = await list();
      const event = {
        email: 'a@x.co',
        eventName: 'signup',
        contactProperties: { firstName: 'Ada', plan: 'pro' },
        eventProperties: { amount: 12.5, first: true },
        mailingLists: { [news]: true },
        headers: { 'Idempotency-Key': `key ${version}` },
      };
      expect(await loops.sendEvent(event)).toEqual({ success: true });
      const used = 'Idempotency key already used with a different request body.';
      expect(await failure(loops.sendEvent(event))).toEqual([409, used]);
      expect(await loops.sendEvent({ ...event, headers: { 'Idempotency-Key': '' } })).toEqual({ success: true });
      expect(await loops.findContact({ email: 'a@x.co' })).toMatchObject([
        { firstName: 'Ada', plan: 'pro', mailingLists: { [news]: true } },
      ]);
      const { data } = (await app.api('GET', '/events?name=signup')).body;
      expect(data).toHaveLength(2);
      expect(data[0]).toMatchObject({ email: 'a@x.co', eventProperties: { amount: 12.5, first: true } });
      expect(await failure(loops.sendEvent({ userId: 'no', eventName: 'e' }))).toEqual([400, 'Contact not found.']);
      expect((await failure(loops.sendEvent({ email: 'a@x.co', eventName: '' })))[0]).toBe(400);
    });

    test('too many calls are the client’s own rate limit error, with our limit', async () => {
      await app.stop();
      app = await TestApp.open({}, { port: 0, rateLimit: 3 });
      root = `${(await app.app.start()).url}/api/`;
      const loops = connect();
      const calls = await Promise.allSettled(Array.from({ length: 8 }, () => loops.testApiKey()));
      const refused = calls.flatMap(each => (each.status === 'rejected' ? [each.reason] : []));
      expect(refused.length).toBeGreaterThan(3);
      for (const error of refused) {
        expect(error).toBeInstanceOf(RateLimitExceededError);
        expect(error).toMatchObject({ limit: 3, remaining: 0 });
      }
    });
  });
}

describe('what only loops@7.3.0 can ask for', () => {
  const message = async (call: Promise<unknown>) =>
    call.then(
      () => null,
      (error: seven.APIError) => error.message,
    );

  test('checkContactSuppression, removeContactSuppression', async () => {
    const loops = client(seven.LoopsClient);
    const { id } = await loops.createContact({ email: 'a+b@x.co', properties: { userId: 'u1' } });
    const state = { contact: { id, email: 'a+b@x.co', userId: 'u1' }, removalQuota: { limit: 100, remaining: 100 } };
    expect(await loops.checkContactSuppression({ userId: 'u1' })).toEqual({ ...state, isSuppressed: false });
    await app.app.ctx.store.write(tx => suppress(tx, 'a+b@x.co', 'bounced', Date.now()));
    expect(await loops.checkContactSuppression({ email: 'a+b@x.co' })).toEqual({ ...state, isSuppressed: true });
    expect(await loops.removeContactSuppression({ email: 'a+b@x.co' })).toEqual({
      success: true,
      message: 'Email removed from suppression list.',
      removalQuota: { limit: 100, remaining: 99 },
    });
    expect(await message(loops.removeContactSuppression({ userId: 'u1' }))).toBe(
      '400 - This contact is not suppressed.',
    );
    expect(await message(loops.checkContactSuppression({ email: 'no@x.co' }))).toBe(
      '404 - This contact was not found.',
    );
  });

  test('listEventPatterns, getEventPattern, getEventPatternByName', async () => {
    const loops = client(seven.LoopsClient);
    for (let i = 0; i < 12; i++) await loops.sendEvent({ email: 'a@x.co', eventName: `e${i}` });
    await loops.sendEvent({ email: 'a@x.co', eventName: 'sign up/é?#', eventProperties: { amount: 1 } });
    const first = await loops.listEventPatterns({ perPage: 10 });
    expect(first.pagination).toMatchObject({ totalResults: 13, returnedResults: 10, perPage: 10, totalPages: 2 });
    const rest = await loops.listEventPatterns({ perPage: 10, cursor: first.pagination.nextCursor ?? '' });
    const names = [...first.data, ...rest.data].map(each => each.eventName);
    expect(names).toEqual(['sign up/é?#', ...Array.from({ length: 12 }, (_, i) => `e${11 - i}`)]);
    const pattern = await loops.getEventPatternByName('sign up/é?#');
    expect(pattern).toEqual({ ...first.data[0]!, eventProperties: [{ name: 'amount', type: 'number' }] });
    expect(await loops.getEventPattern(pattern.id)).toEqual(pattern);
    expect(await message(loops.getEventPatternByName('Sign up/é?#'))).toStartWith('404 - ');
  });

  test('listDedicatedSendingIps', async () => {
    expect(await client(seven.LoopsClient).listDedicatedSendingIps()).toEqual([]);
  });
});
