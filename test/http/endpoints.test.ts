import { afterEach, beforeEach, expect, test } from 'bun:test';
import { SECRETS, stripeEvent, TestApp } from '../support/app.ts';

let app: TestApp;
beforeEach(async () => {
  app = await TestApp.open();
});
afterEach(() => app.stop());

test('endpoint first, secret later: state and nextStep lead through it', async () => {
  const made = (await app.api('POST', '/endpoints', { provider: 'stripe' })).body;
  const get = async () => (await app.api('GET', `/endpoints/${made.id}`)).body;
  expect(made).toMatchObject({ state: 'needsSecret', secrets: [], name: 'Stripe' });
  expect(made.nextStep).toContain(made.url);
  const secret = `  ${SECRETS.stripe}\n`;
  expect((await app.api('POST', `/endpoints/${made.id}/secrets`, { secret })).body).toMatchObject({
    state: 'waitingForFirst',
    secrets: [{ hint: 'whsec_…6789' }],
  });
  const sent = await app.api('POST', `/endpoints/${made.id}/test`, {
    type: 'customer.created',
    email: 'ada@example.com',
  });
  expect(sent.body).toMatchObject({ status: 200, body: { result: 'accepted' } });
  await app.drain();
  expect(await app.contacts()).toMatchObject([{ email: 'ada@example.com' }]);
  expect(await get()).toMatchObject({ state: 'live', nextStep: null });
  for (let i = 0; i < 3; i++)
    await app.post(made.id, 'stripe', stripeEvent('customer.created'), { secret: 'whsec_nobody_has_this_0123456789' });
  expect(await get()).toMatchObject({ state: 'failing' });
  await app.api('PATCH', `/endpoints/${made.id}`, { paused: true });
  expect(await get()).toMatchObject({ state: 'paused' });
});

test('a patch replaces the named keys of the named types, null restores, and what is unknown is named', async () => {
  const id = await app.endpoint('stripe', {
    events: { 'customer.created': { userGroup: 'G', triggerEvent: 'signup' } },
  });
  const patch = (body: unknown) => app.api('PATCH', `/endpoints/${id}`, body);
  const after = (await patch({ events: { 'customer.created': { userGroup: 'H' } }, settings: { mode: 'live' } })).body;
  expect(after.events['customer.created']).toMatchObject({
    userGroup: 'H',
    triggerEvent: 'signup',
    triggerMaxAgeHours: 72,
  });
  expect(after.settings).toMatchObject({ mode: 'live', connect: false, maxBodyBytes: 1_048_576 });
  expect(
    (await patch({ events: { 'customer.created': { triggerEvent: null } } })).body.events['customer.created'],
  ).toMatchObject({ userGroup: 'H', triggerEvent: null });
  const refused: [unknown, string][] = [
    [{ events: { 'no.such': {} } }, 'no.such'],
    [{ events: { 'customer.created': { nope: 1 } } }, 'nope'],
    [{ events: { 'customer.created': { mailingLists: ['list_x'] } } }, 'list_x'],
    [{ events: { 'customer.created': { onDelete: 'delete' } } }, 'onDelete'],
    [{ events: { 'customer.created': { contactProperties: { email: 'data.object.id' } } } }, 'contactProperties'],
    [{ settings: { mode: 'both' } }, 'settings.mode'],
    [{ settings: { nope: 1 } }, 'nope'],
    [{ extra: 1 }, 'extra'],
  ];
  for (const [body, names] of refused) {
    const answer = await patch(body);
    expect({ body, status: answer.status }).toEqual({ body, status: 400 });
    expect(answer.body.message).toContain(names);
  }
});

test('secrets are checked and never repeated', async () => {
  for (const secret of ['', 'tiny-9', 'whsec_with inner space 0123456789', `${'x'.repeat(501)}`]) {
    const answer = await app.api('POST', '/endpoints', { provider: 'stripe', secret });
    expect(answer.status).toBe(400);
    if (secret) expect(JSON.stringify(answer.body)).not.toContain(secret);
  }
  const supabase = await app.api('POST', '/endpoints', { provider: 'supabase' });
  expect(supabase.body.secretHeader).toMatchObject({ name: 'x-inlet-secret' });
  expect(JSON.stringify((await app.api('GET', `/endpoints/${supabase.body.id}`)).body)).not.toContain(
    supabase.body.secretHeader.value,
  );
  const answer = await app.post(
    supabase.body.id,
    'supabase',
    { type: 'INSERT' },
    { secret: supabase.body.secretHeader.value },
  );
  expect(answer.status).toBe(200);
});

test('a secret of another kind is refused with the one that is wanted, wherever it comes in', async () => {
  for (const [provider, secret, wanted] of [
    ['stripe', 'sk_live_0123456789abcdefghijklmn', 'signing secret (whsec_…)'],
    ['stripe', 'STRIPE_SECRET=whsec_0123456789abcdef', 'Leave out the name'],
    ['clerk', 'whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA', 'Signing Secret (whsec_…)'],
    ['polar', 'polar_oat_0123456789abcdefghijkl', 'Copy Secret'],
    ['supabase', 'sb_secret_0123456789abcdefghijkl', 'as in the header of the hook'],
  ] as const) {
    const made = await app.api('POST', '/endpoints', { provider });
    const answers = [
      await app.api('POST', '/endpoints', { provider, secret }),
      await app.api('POST', `/endpoints/${made.body.id}/secrets`, { secret }),
    ];
    for (const { status, body } of answers) {
      expect({ provider, status }).toEqual({ provider, status: 400 });
      expect(body.message).toStartWith('secret: ');
      expect(body.message).toContain(wanted);
      expect(JSON.stringify(body)).not.toContain(secret.slice(0, 14));
    }
    await app.api('DELETE', `/endpoints/${made.body.id}`);
  }
});

test('pages walk through everything once, and refuse what is not theirs', async () => {
  const id = await app.endpoint('stripe');
  for (let i = 0; i < 45; i++) await app.post(id, 'stripe', stripeEvent('customer.created'));
  await app.drain();
  const seen = new Set<string>();
  let cursor = '';
  for (let pages = 0; pages < 10; pages++) {
    const { pagination, data } = (await app.api('GET', `/contacts?perPage=20&cursor=${cursor}`)).body;
    expect(pagination).toMatchObject({ totalResults: 45, totalPages: 3, perPage: 20 });
    for (const contact of data) expect(seen.has(contact.id)).toBe(false);
    for (const contact of data) seen.add(contact.id);
    if (!pagination.nextCursor) break;
    expect(pagination.nextPage).toContain('/api/v1/contacts?cursor=');
    cursor = pagination.nextCursor;
  }
  expect(seen.size).toBe(45);
  for (const query of [
    'perPage=0',
    'perPage=101',
    'perPage=x',
    'cursor=bad!',
    'cursor=AAAA',
    'status=none',
    'since=soon',
  ]) {
    expect({ query, status: (await app.api('GET', `/deliveries?${query}`)).status }).toEqual({ query, status: 400 });
  }
  expect((await app.api('GET', '/deliveries?cursor=')).status).toBe(200);
  const first = [...seen][0] ?? '';
  const activity = (await app.api('GET', `/contacts/${first}/activity`)).body;
  expect(activity.data).toMatchObject([{ kind: 'delivery' }]);
  expect((await app.api('GET', `/deliveries?contactId=${first}`)).body.pagination.totalResults).toBe(1);
});

test('find answers as Loops does', async () => {
  const id = await app.endpoint('clerk');
  await app.api('POST', `/endpoints/${id}/test`, { type: 'user.created', email: 'c@x.co' });
  await app.drain();
  const [contact] = (await app.api('GET', '/contacts/find?email=%20C@x.co')).body;
  expect(contact).toMatchObject({
    email: 'c@x.co',
    firstName: 'Ada',
    source: 'Clerk webhook',
    mailingLists: {},
    optInStatus: null,
    userGroup: '',
    subscribed: true,
  });
  expect((await app.api('GET', `/contacts/find?userId=${contact.userId}`)).body).toEqual([contact]);
  expect((await app.api('GET', '/contacts/find?email=nobody@x.co')).body).toEqual([]);
  for (const query of ['', 'email=a@x.co&userId=1', 'email=nonsense'])
    expect((await app.api('GET', `/contacts/find?${query}`)).status).toBe(400);
});

test('lists in use can not be removed; keys are shown once and end at once', async () => {
  const list = (await app.api('POST', '/lists', { name: 'News' })).body;
  expect(list).toEqual({ id: list.id, name: 'News', description: null, isPublic: false });
  const id = await app.endpoint('stripe', { events: { 'customer.created': { mailingLists: [list.id] } } });
  await app.post(id, 'stripe', stripeEvent('customer.created', { email: 'l@x.co' }));
  await app.drain();
  expect(await app.contacts()).toMatchObject([{ mailingLists: { [list.id]: true } }]);
  expect((await app.api('GET', `/contacts?listId=${list.id}`)).body.pagination.totalResults).toBe(1);
  expect(await app.api('DELETE', `/lists/${list.id}`)).toMatchObject({ status: 409 });
  await app.api('PATCH', `/endpoints/${id}`, { events: { 'customer.created': null } });
  expect((await app.api('DELETE', `/lists/${list.id}`)).status).toBe(200);
  expect(await app.contacts()).toMatchObject([{ mailingLists: {} }]);
  const key = (await app.api('POST', '/keys', { name: 'k' })).body;
  expect((await app.api('GET', '/lists', undefined, key.key)).status).toBe(200);
  expect(JSON.stringify((await app.api('GET', '/keys')).body)).not.toContain(key.key);
  await app.api('DELETE', `/keys/${key.id}`);
  expect((await app.api('GET', '/lists', undefined, key.key)).status).toBe(401);
});

test('a bulk replay names at least one filter', async () => {
  expect((await app.api('POST', '/deliveries/replay', {})).status).toBe(400);
  expect((await app.api('POST', '/deliveries/replay', { status: 'dead' })).body).toEqual({ replayed: 0 });
});

test('names hold no control characters, wherever something is named', async () => {
  const made = await app.api('POST', '/endpoints', { provider: 'stripe' });
  const list = await app.api('POST', '/lists', { name: 'News' });
  const flow = await app.api('POST', '/workflows', { name: 'Welcome' });
  for (const name of ['a\x1b]0;b\x07', 'a\r\nb', 'a\u009bb', 'a\u2028b', 'a\u202eb']) {
    const answers = [
      await app.api('POST', '/endpoints', { provider: 'stripe', name }),
      await app.api('PATCH', `/endpoints/${made.body.id}`, { name }),
      await app.api('POST', '/lists', { name }),
      await app.api('PATCH', `/lists/${list.body.id}`, { name }),
      await app.api('POST', '/keys', { name }),
      await app.api('POST', '/workflows', { name }),
      await app.api('POST', `/workflows/${flow.body.id}`, { name, expectedRevisionId: null }),
    ];
    for (const answer of answers)
      expect(answer).toMatchObject({ status: 400, body: { message: expect.stringContaining('control characters') } });
  }
  expect((await app.api('POST', '/lists', { name: 'Família 👩‍👩‍👧 نام‌ها' })).status).toBe(201);
});
