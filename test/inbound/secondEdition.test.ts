import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { closeAll, linkOf, message, queue, sink, smtp } from '../mail/support.ts';
import {
  changed,
  checkout,
  clerk,
  clerkDeleted,
  customer,
  DAY,
  MINUTE,
  orders,
  polar,
  row,
  Story,
  stripe,
  supabase,
} from '../support/story.ts';

// Histories in which the first edition of the contact rules gave a wrong contact, through signed webhooks and the API.
let s: Story;
beforeEach(async () => {
  s = await Story.open();
});
afterEach(() => s.stop());

describe('D1: two users of one provider with one address', () => {
  async function twoUsers(id: string) {
    const one = row('u1', 'shared@x.co', s.now);
    const first = await s.hook(id, 'supabase', supabase('INSERT', one));
    const two = row('u2', 'shared@x.co', s.now);
    const second = await s.hook(id, 'supabase', supabase('INSERT', two));
    return { one, two, first, second };
  }
  const signIn = async (id: string, of: ReturnType<typeof row>) => {
    const later = changed(of, s.now);
    return { later, done: await s.hook(id, 'supabase', supabase('UPDATE', later, of)) };
  };

  test('signing in by turns takes the address from nobody', async () => {
    const id = await s.endpoint('supabase');
    let { one, two, first, second } = await twoUsers(id);
    expect(first.kinds).toEqual(['contact.created']);
    expect(second.kinds).toContain('contact.parked');
    const holder = (await s.find('shared@x.co'))?.id;
    for (let turn = 0; turn < 3; turn++) {
      const a = await signIn(id, one);
      const b = await signIn(id, two);
      [one, two] = [a.later, b.later];
      expect([...a.done.kinds, ...b.done.kinds]).toEqual([]);
      expect(await s.contacts()).toMatchObject([{ id: holder, email: 'shared@x.co', userId: 'u2', subscribed: true }]);
    }
    expect(second.contactId).toBe(holder as string);
  });

  test('who unsubscribed stays so, whoever signs in next', async () => {
    const id = await s.endpoint('supabase');
    const { one, two } = await twoUsers(id);
    await s.api('PUT', '/contacts/update', { email: 'shared@x.co', subscribed: false });
    await signIn(id, one);
    await signIn(id, two);
    expect(await s.contacts()).toMatchObject([{ email: 'shared@x.co', subscribed: false }]);
  });

  test('the parked one is the same contact again, by its id, with another address', async () => {
    const id = await s.endpoint('supabase');
    const { one, first } = await twoUsers(id);
    const back = await s.hook(id, 'supabase', supabase('UPDATE', changed(one, s.now, { email: 'own@x.co' }), one));
    expect(back.kinds).toContain('contact.unparked');
    expect(back.kinds).not.toContain('contact.created');
    expect(await s.find('own@x.co')).toMatchObject({ id: first.contactId, userId: 'u1' });
  });

  test('the link of an old mail acts on the address it went to', async () => {
    await s.stop();
    const server = await sink();
    s = await Story.open({}, smtp(server.port));
    const id = await s.endpoint('supabase');
    const one = row('u1', 'shared@x.co', s.now);
    await s.hook(id, 'supabase', supabase('INSERT', one));
    const [contact] = await s.contacts();
    const { id: letter } = await message(s.app);
    await queue(s.app, { id: contact?.id as string, email: 'shared@x.co' }, letter);
    await s.app.drain();
    await s.hook(id, 'supabase', supabase('INSERT', row('u2', 'shared@x.co', s.now)));
    const link = linkOf(server.mails[0]!.raw);
    const answer = await s.app.fetch(link, {
      method: 'POST',
      body: 'List-Unsubscribe=One-Click',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    });
    expect(answer.status).toBe(200);
    expect(await s.find('shared@x.co')).toMatchObject({ userId: 'u2', subscribed: false });
    await closeAll();
  });
});

describe('D2, B03: who unsubscribed, leaves and signs up again stays unsubscribed', () => {
  test.each(['unsubscribe', 'delete'])('Clerk, onDelete %s', async onDelete => {
    const id = await s.endpoint('clerk', { events: { 'user.deleted': { onDelete } } });
    await s.hook(id, 'clerk', clerk('user.created', 'O1', 'a@x.co', s.now));
    await s.api('PUT', '/contacts/update', { email: 'a@x.co', subscribed: false });
    await s.hook(id, 'clerk', clerkDeleted('O1', s.now));
    await s.hook(id, 'clerk', clerk('user.created', 'O2', 'a@x.co', s.now));
    expect(await s.contacts()).toMatchObject([{ email: 'a@x.co', userId: 'O2', subscribed: false }]);
    await s.api('PUT', '/contacts/update', { email: 'a@x.co', subscribed: true });
    expect(await s.contacts()).toMatchObject([{ subscribed: true }]);
  });

  test.each(['unsubscribe', 'delete'])('Supabase, onDelete %s', async onDelete => {
    const id = await s.endpoint('supabase', { events: { DELETE: { onDelete } } });
    const one = row('u1', 'a@x.co', s.now);
    await s.hook(id, 'supabase', supabase('INSERT', one));
    await s.api('PUT', '/contacts/update', { userId: 'u1', subscribed: false });
    await s.hook(id, 'supabase', supabase('DELETE', null, one));
    await s.hook(id, 'supabase', supabase('INSERT', row('u2', 'a@x.co', s.now)));
    expect(await s.contacts()).toMatchObject([{ email: 'a@x.co', userId: 'u2', subscribed: false }]);
  });

  test('a second user of the provider with the address of who left', async () => {
    const id = await s.endpoint('clerk');
    await s.hook(id, 'clerk', clerk('user.created', 'O1', 'a@x.co', s.now));
    await s.api('PUT', '/contacts/update', { email: 'a@x.co', subscribed: false });
    await s.hook(id, 'clerk', clerk('user.created', 'O2', 'a@x.co', s.now));
    expect(await s.contacts()).toMatchObject([{ email: 'a@x.co', userId: 'O2', subscribed: false }]);
  });

  test('deleted over the API, and made again by an import or a create', async () => {
    await s.api('POST', '/contacts/create', { email: 'a@x.co' });
    await s.api('PUT', '/contacts/update', { email: 'a@x.co', subscribed: false });
    await s.api('POST', '/contacts/delete', { email: 'a@x.co' });
    await s.api('POST', '/contacts/create', { email: 'a@x.co' });
    expect(await s.contacts()).toMatchObject([{ email: 'a@x.co', subscribed: false }]);
  });
});

describe('D3: what is not applied is not stored', () => {
  const bodies: [string, unknown][] = [
    ['clerk', { type: 'email.created', object: 'event', data: { slug: 'verification_code', data: { otp_code: '424242' }, body: 'Your code is 424242' } }],
    ['clerk', { type: 'sms.created', object: 'event', data: { message: 'code 424242' } }],
    ['clerk', { type: 'session.created', object: 'event', data: { id: 'sess_1', user: { private_metadata: { pin: '424242' } } } }],
    ['stripe', { id: 'evt_d3', object: 'event', type: 'identity.verification_session.verified', created: 1, livemode: true, data: { object: { verified_outputs: { dob: '424242' } } } }],
    ['polar', { type: 'benefit_grant.created', timestamp: new Date().toISOString(), data: { properties: { licence: '424242' } } }],
    ['supabase', { type: 'INSERT', schema: 'public', table: 'secrets', record: { code: '424242' }, old_record: null }],
  ]; // biome-ignore format: one glance
  test.each(bodies)('%s: type and id only', async (provider, body) => {
    const id = await s.endpoint(provider);
    const { result, id: delivery, status } = await s.hook(id, provider, body);
    expect({ result, status }).toEqual({ result: 'ignored', status: 'ignored' });
    const logged = (await s.app.api('GET', `/deliveries/${delivery}`)).body;
    expect(logged.type).toBe((body as { type: string }).type);
    expect(JSON.stringify(logged)).not.toContain('424242');
  });

  test('private metadata of Clerk goes at every depth', async () => {
    const id = await s.endpoint('clerk');
    const more = {
      private_metadata: { a: 'hidden-1' },
      organization_memberships: [{ organization: { private_metadata: { b: 'hidden-2' } } }],
    };
    const { payload } = await s.hook(id, 'clerk', clerk('user.created', 'u1', 'a@x.co', s.now, more));
    expect(JSON.stringify(payload)).toContain('a@x.co');
    expect(JSON.stringify(payload)).not.toContain('hidden');
  });
});

describe('D5: a deletion counts from when it happened', () => {
  test('a: an explicit yes of two weeks ago does not outlive it', async () => {
    const id = await s.endpoint('supabase');
    const one = row('u1', 'a@x.co', s.now);
    await s.hook(id, 'supabase', supabase('INSERT', one));
    s.pass(14 * DAY);
    await s.api('PUT', '/contacts/update', { email: 'a@x.co', subscribed: true });
    s.pass(14 * DAY);
    const gone = await s.hook(id, 'supabase', supabase('DELETE', null, one));
    expect(gone.kinds).toContain('contact.unsubscribed');
    expect(await s.contacts()).toMatchObject([{ email: 'a@x.co', subscribed: false }]);
  });

  test('b: of two deletions the one that happened last decides', async () => {
    const pay = await s.endpoint('stripe', { events: { 'customer.deleted': { onDelete: 'unsubscribe' } } });
    const auth = await s.endpoint('supabase', { events: { DELETE: { onDelete: 'delete' } } });
    const one = row('u1', 'a@x.co', s.now);
    await s.hook(auth, 'supabase', supabase('INSERT', one));
    await s.hook(pay, 'stripe', stripe('customer.created', customer('cus_1', 'a@x.co'), s.now));
    s.pass(30 * DAY);
    const kept = await s.hook(pay, 'stripe', stripe('customer.deleted', customer('cus_1', 'a@x.co'), s.now));
    expect(kept.kinds).toEqual(['contact.kept']);
    s.pass(60 * MINUTE);
    const gone = await s.hook(auth, 'supabase', supabase('DELETE', null, one));
    expect(gone.kinds).toContain('contact.deleted');
    expect(await s.contacts()).toEqual([]);
  });

  test('c: a guest checkout is nobody who is left', async () => {
    const pay = await s.endpoint('stripe');
    const auth = await s.endpoint('supabase', { events: { DELETE: { onDelete: 'delete' } } });
    const one = row('u1', 'a@x.co', s.now);
    await s.hook(auth, 'supabase', supabase('INSERT', one));
    s.pass(30 * DAY);
    await s.hook(pay, 'stripe', stripe('checkout.session.completed', checkout('a@x.co'), s.now));
    s.pass(DAY);
    const gone = await s.hook(auth, 'supabase', supabase('DELETE', null, one));
    expect(gone.kinds).toContain('contact.deleted');
    expect(await s.contacts()).toEqual([]);
  });
});

describe('D6: a removal forgets what the address knew', () => {
  async function setUp() {
    const list = (await s.api('POST', '/lists', { name: 'L' })).body.id as string;
    const first = await s.endpoint('stripe', {
      events: {
        'checkout.session.completed': {
          userGroup: 'Buyers',
          mailingLists: [list],
          contactProperties: { ssn: 'data.object.metadata.ssn' },
        },
        'customer.deleted': { onDelete: 'delete' },
      },
    });
    const plain = await s.endpoint('stripe', {});
    const known = checkout('a@x.co', {
      customer_details: { email: 'a@x.co', name: 'Old Name' },
      metadata: { ssn: '123-45' },
    });
    await s.hook(first, 'stripe', stripe('checkout.session.completed', known, s.now));
    expect(await s.contacts()).toMatchObject([
      { firstName: 'Old', userGroup: 'Buyers', ssn: '123-45', mailingLists: { [list]: true } },
    ]);
    return { first, plain };
  }
  async function again(plain: string) {
    expect(await s.contacts()).toEqual([]);
    await s.hook(plain, 'stripe', stripe('checkout.session.completed', checkout('a@x.co'), s.now));
    const [contact, ...others] = await s.contacts();
    expect(others).toEqual([]);
    expect(contact).toMatchObject({
      ...{ email: 'a@x.co', firstName: null, lastName: null, userGroup: '', subscribed: true, mailingLists: {} },
    });
    expect(contact?.ssn).toBeUndefined();
  }

  test('by a webhook', async () => {
    const { first, plain } = await setUp();
    await s.hook(first, 'stripe', stripe('customer.created', customer('cus_1', 'a@x.co'), s.now));
    await s.hook(first, 'stripe', stripe('customer.deleted', customer('cus_1', 'a@x.co'), s.now));
    await again(plain);
  });

  test('by the API', async () => {
    const { plain } = await setUp();
    await s.api('POST', '/contacts/delete', { email: 'a@x.co' });
    await again(plain);
  });
});

describe('D9: a replay replaces what its delivery said', () => {
  test('group and a corrected path', async () => {
    const id = await s.endpoint('stripe');
    const made = await s.hook(
      id,
      'stripe',
      stripe('customer.created', customer('cus_1', 'a@x.co', { metadata: { plan: 'pro' }, phone: '555' }), s.now),
    );
    const patch = (contactProperties: object) =>
      s.api('PATCH', `/endpoints/${id}`, { events: { 'customer.created': { userGroup: 'VIP', contactProperties } } });
    const replay = () => s.api('POST', `/deliveries/${made.id}/replay`, {});
    await patch({ plan: 'data.object.phone' });
    await replay();
    expect(await s.contacts()).toMatchObject([{ userGroup: 'VIP', plan: '555' }]);
    await patch({ plan: 'data.object.metadata.plan' });
    await replay();
    expect(await s.contacts()).toMatchObject([{ userGroup: 'VIP', plan: 'pro' }]);
    await patch({});
    await replay();
    expect((await s.contacts())[0]?.plan).toBeUndefined();
  });

  test('onDelete, which is never taken back', async () => {
    const id = await s.endpoint('stripe');
    const set = (onDelete: string) =>
      s.api('PATCH', `/endpoints/${id}`, { events: { 'customer.deleted': { onDelete } } });
    await s.hook(id, 'stripe', stripe('customer.created', customer('cus_1', 'a@x.co'), s.now));
    const gone = await s.hook(id, 'stripe', stripe('customer.deleted', customer('cus_1', 'a@x.co'), s.now));
    expect(await s.contacts()).toMatchObject([{ subscribed: false }]);
    await set('delete');
    await s.api('POST', `/deliveries/${gone.id}/replay`, {});
    expect(await s.contacts()).toEqual([]);
    await set('unsubscribe');
    await s.api('POST', `/deliveries/${gone.id}/replay`, {});
    expect(await s.contacts()).toEqual([]);
  });
});

test('D10: of two endpoints that receive one event the order of arrival does not matter', async () => {
  const settings = (name: string) => ({
    events: { 'customer.created': { userGroup: name, contactProperties: { [`from${name}`]: 'data.object.id', both: `data.object.metadata.${name}` } } },
  }); // biome-ignore format: one glance
  const [first, second] = [await s.endpoint('stripe', settings('A')), await s.endpoint('stripe', settings('B'))];
  const later = first < second ? 'B' : 'A';
  for (const [n, order] of [[first, second], [second, first]].entries()) {
    const event = stripe('customer.created', customer(`cus_${n}`, `${n}@x.co`, { metadata: { A: 'A', B: 'B' } }), s.now);
    for (const id of order) await s.hook(id, 'stripe', event);
    expect(await s.find(`${n}@x.co`)).toMatchObject({
      userGroup: later === 'B' ? 'A' : 'B',
      fromA: `cus_${n}`,
      fromB: `cus_${n}`,
      both: later,
    });
  } // biome-ignore format: one glance
});

test('D11: a list that was joined stays, whatever webhooks name it while unsubscribed', async () => {
  const list = (await s.api('POST', '/lists', { name: 'L' })).body.id as string;
  const id = await s.endpoint('stripe', { events: { 'invoice.paid': { mailingLists: [list] } } });
  const paid = () =>
    s.hook(
      id,
      'stripe',
      stripe('invoice.paid', { id: `in_${s.now}`, customer: 'cus_1', customer_email: 'a@x.co' }, s.now),
    );
  const set = (subscribed: boolean) => s.api('PUT', '/contacts/update', { email: 'a@x.co', subscribed });
  const on = async () => JSON.stringify(await s.find('a@x.co')).includes(list);
  await s.hook(id, 'stripe', stripe('customer.created', customer('cus_1', 'a@x.co'), s.now));
  await set(false);
  await paid();
  expect(await on()).toBe(false);
  await set(true);
  expect(await on()).toBe(false);
  expect((await paid()).kinds).toEqual(['list.subscribed']);
  await set(false);
  expect((await paid()).kinds).toEqual([]);
  expect(await on()).toBe(true);
  await set(true);
  expect(await on()).toBe(true);
});

describe('D12, B06, B08: facts of one time', () => {
  test('Supabase: microseconds count', async () => {
    const id = await s.endpoint('supabase');
    const micro = (us: string) => `2026-11-01T11:59:00.123${us}+00:00`;
    for (const [n, order] of [...orders([0, 1, 2])].entries()) {
      const made = row(`u${n}`, `${n}-0@x.co`, s.now, { updated_at: micro('100') });
      const next = { ...made, email: `${n}-1@x.co`, updated_at: micro('200') };
      const last = { ...made, email: `${n}-2@x.co`, updated_at: micro('900') };
      const bodies = [supabase('INSERT', made), supabase('UPDATE', next, made), supabase('UPDATE', last, next)];
      for (const i of order) await s.hook(id, 'supabase', bodies[i]);
      expect((await s.contacts()).filter(each => each.userId === `u${n}`)).toMatchObject([{ email: `${n}-2@x.co` }]);
    }
  });

  test('Supabase: SQL that leaves updated_at alone, by what each body says was before', async () => {
    const id = await s.endpoint('supabase');
    for (const [n, order] of [...orders([0, 1, 2, 3])].entries()) {
      const named = (first_name: string) => row(`u${n}`, `${n}@x.co`, s.now, { raw_user_meta_data: { first_name } });
      const states = ['Zoe', 'Mia', 'Ada', 'Kim'].map(named);
      const bodies = states.map((state, i) =>
        i ? supabase('UPDATE', state, states[i - 1]!) : supabase('INSERT', state),
      );
      for (const i of order) await s.app.post(id, 'supabase', bodies[i]);
      await s.app.drain();
      s.pass();
      expect({ order, found: await s.find(`${n}@x.co`) }).toMatchObject({ found: { firstName: 'Kim' } });
    }
  });

  test('Stripe: updates of one second, by previous_attributes', async () => {
    const id = await s.endpoint('stripe', {
      events: {
        'customer.created': { contactProperties: { plan: 'data.object.metadata.plan' } },
        'customer.updated': { contactProperties: { plan: 'data.object.metadata.plan' } },
      },
    });
    for (const [n, order] of [...orders([0, 1, 2])].entries()) {
      const at = s.now;
      const state = (email: string, plan: string) => customer(`cus_${n}`, `${n}-${email}@x.co`, { metadata: { plan } });
      const bodies = [
        stripe('customer.created', state('a', 'free'), at - 5000),
        stripe('customer.updated', state('b', 'trial'), at, {
          id: `evt_z${n}`,
          previous: { email: `${n}-a@x.co`, metadata: { plan: 'free' } },
        }),
        stripe('customer.updated', state('c', 'pro'), at, {
          id: `evt_a${n}`,
          previous: { email: `${n}-b@x.co`, metadata: { plan: 'trial' } },
        }),
      ];
      for (const i of order) await s.hook(id, 'stripe', bodies[i]);
      expect({ order, found: await s.find(`${n}-c@x.co`) }).toMatchObject({ found: { plan: 'pro' } });
      expect(await s.find(`${n}-b@x.co`)).toBeUndefined();
    }
  });

  test('Stripe: a cancellation comes after what it cancels', async () => {
    const mapped = { contactProperties: { status: 'data.object.status' } };
    const id = await s.endpoint('stripe', {
      events: { 'customer.subscription.created': mapped, 'customer.subscription.deleted': mapped },
    });
    for (const [n, order] of [...orders([0, 1])].entries()) {
      const of = { object: 'subscription', id: `sub_${n}`, customer: `cus_${n}` };
      const bodies = [
        stripe('customer.subscription.created', { ...of, status: 'active' }, s.now, { id: `evt_z${n}` }),
        stripe('customer.subscription.deleted', { ...of, status: 'canceled' }, s.now, { id: `evt_a${n}` }),
      ];
      await s.hook(id, 'stripe', stripe('customer.created', customer(`cus_${n}`, `${n}@x.co`), s.now - 5000));
      for (const i of order) await s.hook(id, 'stripe', bodies[i]);
      expect(await s.find(`${n}@x.co`)).toMatchObject({ status: 'canceled' });
    }
  });
});

test('D13: a paused endpoint decides with the settings of the moment of resuming', async () => {
  const id = await s.endpoint('stripe', { events: { 'customer.created': { enabled: false } } });
  await s.api('PATCH', `/endpoints/${id}`, { paused: true });
  const held = await s.hook(id, 'stripe', stripe('customer.created', customer('cus_1', 'a@x.co'), s.now));
  expect(held).toMatchObject({ result: 'accepted', status: 'queued' });
  const thin = { id: 'evt_thin', object: 'v2.core.event', type: 'v1.billing.meter.no_meter_found', livemode: true };
  expect(await s.hook(id, 'stripe', thin)).toMatchObject({ result: 'ignored' });
  await s.api('PATCH', `/endpoints/${id}`, { events: { 'customer.created': { enabled: true, userGroup: 'Late' } } });
  await s.api('PATCH', `/endpoints/${id}`, { paused: false });
  await s.app.drain();
  expect(await s.contacts()).toMatchObject([{ email: 'a@x.co', userGroup: 'Late' }]);
});

test('D14: a sandbox in a namespace of its own touches nobody of production', async () => {
  const live = await s.endpoint('polar');
  const test = await s.endpoint('polar', { settings: { namespace: 'sandbox' } });
  const of = (email: string) => ({ id: 'pc_1', type: 'individual', email, name: 'Real Name', external_id: '1' });
  await s.hook(live, 'polar', polar('customer.created', of('real@x.co'), s.now));
  await s.hook(test, 'polar', polar('customer.created', { ...of('tester@dev.example'), name: 'Tess T' }, s.now));
  await s.hook(test, 'polar', polar('customer.updated', { ...of('tester@dev.example'), name: 'Tess U' }, s.now));
  expect(await s.contacts()).toMatchObject([
    { email: 'real@x.co', firstName: 'Real', userId: '1' },
    { email: 'tester@dev.example', firstName: 'Tess', lastName: 'U' },
  ]);
  await s.hook(test, 'polar', polar('customer.deleted', of('tester@dev.example'), s.now));
  expect(await s.find('real@x.co')).toMatchObject({ subscribed: true });
});

test('D15, B12: a contact with 120 customers behind it can be written', async () => {
  const id = await s.endpoint('stripe');
  for (let n = 0; n < 120; n++) {
    s.pass(1000);
    await s.app.post(id, 'stripe', stripe('customer.created', customer(`cus_${n}`, 'walkin@x.co'), s.now));
  }
  await s.app.drain();
  s.pass();
  expect((await s.api('PUT', '/contacts/update', { email: 'walkin@x.co', subscribed: false })).status).toBe(200);
  expect((await s.api('PUT', '/contacts/update', { email: 'walkin@x.co', firstName: 'W' })).status).toBe(200);
  expect((await s.api('POST', '/events/send', { email: 'walkin@x.co', eventName: 'e' })).status).toBe(200);
  const [contact, ...others] = await s.contacts();
  expect(others).toEqual([]);
  expect(contact).toMatchObject({ email: 'walkin@x.co', firstName: 'W', subscribed: false });
  expect((await s.api('GET', `/contacts/${contact?.id}`)).body).toMatchObject({ sharedAddress: true });
});

test("D17: Supabase's three updates of a soft delete fire its event once", async () => {
  const id = await s.endpoint('supabase', {
    events: {
      UPDATE: { contactProperties: { plan: 'record.raw_user_meta_data.plan' }, triggerEvent: 'changed' },
      DELETE: { triggerEvent: 'left' },
    },
  });
  const one = row('u1', 'a@x.co', s.now, { raw_user_meta_data: { plan: 'pro' } });
  await s.hook(id, 'supabase', supabase('INSERT', one));
  const gone = changed(one, s.now, { email: 'hash', deleted_at: new Date(s.now).toISOString() });
  const emptied = { ...gone, raw_user_meta_data: {} };
  const bare = { ...emptied, raw_app_meta_data: {} };
  for (const [record, before] of [[gone, one], [emptied, gone], [bare, emptied]] as const)
    await s.hook(id, 'supabase', supabase('UPDATE', record as typeof one, before as typeof one));
  expect(await s.events()).toEqual(['left']);
  expect(await s.contacts()).toMatchObject([{ email: 'a@x.co', subscribed: false }]);
}); // biome-ignore format: one glance

describe('D18, B10: webhooks hold what the API would take', () => {
  test('dates: seconds of Stripe and ISO days become dates, anything else is dropped with an effect', async () => {
    await s.api('POST', '/contacts/properties', { name: 'renewsAt', type: 'date' });
    await s.api('POST', '/contacts/properties', { name: 'seats', type: 'number' });
    const mapping = { renewsAt: 'data.object.metadata.renews', seats: 'data.object.metadata.seats' };
    const id = await s.endpoint('stripe', {
      events: { 'customer.updated': { contactProperties: mapping } },
    });
    const say = (metadata: object) =>
      s.hook(id, 'stripe', stripe('customer.updated', customer('cus_1', 'a@x.co', { metadata }), s.now));
    const drops = (kinds: string[]) => kinds.filter(kind => kind === 'property.dropped').length;
    const shown = async () => {
      const { renewsAt, seats } = (await s.find('a@x.co')) ?? {};
      return { renewsAt, seats };
    };
    expect(drops((await say({ renews: 1_796_837_455, seats: '7' })).kinds)).toBe(0);
    expect(await shown()).toEqual({ renewsAt: '2026-12-09T17:30:55.000Z', seats: 7 });
    expect(drops((await say({ renews: 'not a date at all', seats: 'six' })).kinds)).toBe(2);
    expect(await shown()).toEqual({ renewsAt: '2026-12-09T17:30:55.000Z', seats: 7 });
    expect(drops((await say({ renews: '2026-12-10', seats: 8 })).kinds)).toBe(0);
    expect(await shown()).toEqual({ renewsAt: '2026-12-10T00:00:00.000Z', seats: 8 });
  });

  test('there are as many properties as there may be', async () => {
    const keys = Array.from({ length: 1100 }, (_, n) => `key${n}`);
    const paths = keys.map(key => [key, `data.object.metadata.${key}`] as const);
    const events = (from: number) => ({
      'customer.created': { contactProperties: Object.fromEntries(paths.slice(from, from + 100)) },
    });
    const object = customer('cus_1', 'a@x.co', { metadata: Object.fromEntries(keys.map(key => [key, 'x'])) });
    const id = await s.endpoint('stripe');
    let dropped = 0;
    for (let from = 0; from < 1100; from += 100) {
      await s.api('PATCH', `/endpoints/${id}`, { events: events(from) });
      const { kinds } = await s.hook(id, 'stripe', stripe('customer.created', object, s.now));
      dropped += kinds.filter(kind => kind === 'property.dropped').length;
    }
    expect(dropped).toBe(100);
    expect((await s.api('GET', '/contacts/properties?list=custom')).body).toHaveLength(1000);
  });
});

test('D21: two hooks on one table: INSERT, UPDATE, INSERT, UPDATE are one sign-up', async () => {
  const id = await s.endpoint('supabase', { events: { INSERT: { triggerEvent: 'signup' } } });
  const one = row('u1', 'a@x.co', s.now);
  const insert = supabase('INSERT', one);
  const update = supabase('UPDATE', changed(one, s.now + 1000), one);
  const results = [];
  for (const body of [insert, update, insert, update]) results.push((await s.hook(id, 'supabase', body)).result);
  expect(results).toEqual(['accepted', 'accepted', 'duplicate', 'duplicate']);
  expect(await s.events()).toEqual(['signup']);
});

test('D22: a proven former address finds its contact', async () => {
  const id = await s.endpoint('clerk');
  await s.hook(id, 'clerk', clerk('user.created', 'u1', 'before@x.co', s.now));
  await s.hook(id, 'clerk', clerk('user.updated', 'u1', 'after@x.co', s.now));
  const contact = await s.find('after@x.co');
  expect(await s.find('before@x.co')).toMatchObject({ id: contact?.id, email: 'after@x.co' });
  const refused = await s.api('POST', '/contacts/create', { email: 'before@x.co' });
  expect(refused.status).toBe(409);
  expect(JSON.stringify(refused.body)).toContain(contact?.id as string);
  const update = await s.api('PUT', '/contacts/update', { email: 'before@x.co', firstName: 'Ada' });
  expect(update.body).toMatchObject({ success: true, id: contact?.id });
  await s.api('POST', '/events/send', { email: 'before@x.co', eventName: 'e' });
  expect(await s.contacts()).toMatchObject([{ id: contact?.id, email: 'after@x.co', firstName: 'Ada' }]);
});

test('D23: a sign-in does not take back the address that the API set; a change does', async () => {
  const id = await s.endpoint('clerk');
  await s.hook(id, 'clerk', clerk('user.created', 'u1', 'work@x.co', s.now));
  await s.api('PUT', '/contacts/update', { userId: 'u1', email: 'home@x.co' });
  const signIn = await s.hook(id, 'clerk', clerk('user.updated', 'u1', 'work@x.co', s.now, { last_sign_in_at: s.now }));
  expect(signIn.kinds).toEqual([]);
  expect(await s.contacts()).toMatchObject([{ email: 'home@x.co', userId: 'u1' }]);
  await s.hook(id, 'clerk', clerk('user.updated', 'u1', 'new@x.co', s.now));
  expect(await s.contacts()).toMatchObject([{ email: 'new@x.co', userId: 'u1' }]);
});

describe('D26: sentences', () => {
  test('who takes an address is updated, and nobody reads of a deletion', async () => {
    const id = await s.endpoint('clerk');
    await s.hook(id, 'clerk', clerk('user.created', 'q1', 'q1@x.co', s.now));
    await s.hook(id, 'clerk', clerk('user.created', 'q2', 'q2@x.co', s.now));
    const taken = await s.hook(id, 'clerk', clerk('user.updated', 'q2', 'q1@x.co', s.now));
    expect(taken.message).toBe('Updated contact q1@x.co');
    expect(taken.kinds).not.toContain('contact.deleted');
  });

  test('a deletion of somebody never known is processed', async () => {
    const id = await s.endpoint('clerk');
    expect(await s.hook(id, 'clerk', clerkDeleted('nobody', s.now))).toMatchObject({
      status: 'processed',
      message: 'Nobody here: nobody was never known, nothing to apply',
    });
  });

  test('why a contact was kept: one reason', async () => {
    const auth = await s.endpoint('clerk');
    const pay = await s.endpoint('stripe');
    const reasonOf = ({ effects }: { effects: Record<string, unknown>[] }) =>
      effects.find(each => each.kind === 'contact.kept')?.reason;
    await s.hook(auth, 'clerk', clerk('user.created', 'u1', 'a@x.co', s.now));
    await s.hook(pay, 'stripe', stripe('customer.created', customer('cus_1', 'a@x.co'), s.now));
    expect(reasonOf(await s.hook(auth, 'clerk', clerkDeleted('u1', s.now)))).toBe(
      'stripe still has this person as cus_1',
    );
    await s.api('POST', '/contacts/create', { email: 'b@x.co' });
    await s.hook(pay, 'stripe', stripe('customer.created', customer('cus_2', 'b@x.co'), s.now));
    const made = await s.hook(pay, 'stripe', stripe('customer.deleted', customer('cus_2', 'b@x.co'), s.now));
    expect(reasonOf(made)).toBe('the API made this contact');
    await s.api('PATCH', `/endpoints/${pay}`, { events: { 'customer.deleted': { onDelete: 'ignore' } } });
    await s.hook(pay, 'stripe', stripe('customer.created', customer('cus_3', 'c@x.co'), s.now));
    const ignored = await s.hook(pay, 'stripe', stripe('customer.deleted', customer('cus_3', 'c@x.co'), s.now));
    expect(reasonOf(ignored)).toBe('onDelete is "ignore" for this event type');
  });
});

test('D27: answers name only what the event itself held', async () => {
  const auth = await s.endpoint('clerk');
  const pay = await s.endpoint('stripe');
  await s.hook(auth, 'clerk', clerk('user.created', 'u1', 'work@x.co', s.now));
  await s.hook(pay, 'stripe', stripe('customer.created', customer('cus_1', 'work@x.co'), s.now));
  await s.hook(auth, 'clerk', clerk('user.updated', 'u1', 'private@x.co', s.now));
  expect(await s.contacts()).toMatchObject([{ email: 'private@x.co', userId: 'u1' }]);
  const same = await s.hook(pay, 'stripe', stripe('customer.updated', customer('cus_1', 'work@x.co'), s.now));
  const of = { object: 'subscription', id: 'sub_1', customer: 'cus_1', status: 'active' };
  const bare = await s.hook(pay, 'stripe', stripe('customer.subscription.created', of, s.now));
  for (const each of [same, bare]) expect(`${each.answered} ${each.message}`).not.toContain('private@x.co');
  expect(same.answered).toContain('work@x.co');
  expect(bare.answered).toContain('cus_1');
});

test('of more than 50 users with one address a further one is itself again with an address of its own', async () => {
  const id = await s.endpoint('clerk');
  for (let n = 0; n < 52; n++) {
    s.pass(1000);
    await s.app.post(id, 'clerk', clerk('user.created', `u${n}`, 'shared@x.co', s.now));
  }
  await s.app.drain();
  expect(await s.contacts()).toMatchObject([{ email: 'shared@x.co', userId: 'u49' }]);
  s.pass();
  await s.hook(id, 'clerk', clerk('user.updated', 'u51', 'own@x.co', s.now));
  expect(await s.contacts()).toMatchObject([
    { email: 'own@x.co', userId: 'u51' },
    { email: 'shared@x.co', userId: 'u49' },
  ]);
});

test('the API gives a user id to whom it finds by the address: its own, a payer, a guest', async () => {
  const id = await s.endpoint('stripe');
  await s.api('POST', '/contacts/create', { email: 'api@x.co' });
  await s.hook(id, 'stripe', stripe('customer.created', customer('cus_1', 'payer@x.co'), s.now));
  await s.hook(id, 'stripe', stripe('checkout.session.completed', checkout('guest@x.co'), s.now));
  const before = await s.contacts();
  for (const name of ['api', 'payer', 'guest']) {
    const body = { email: `${name}@x.co`, userId: `user_${name}` };
    expect((await s.api('PUT', '/contacts/update', body)).status).toBe(200);
    expect((await s.api('POST', '/events/send', { ...body, eventName: 'e' })).status).toBe(200);
  }
  const after = ['api', 'guest', 'payer'].map(name => ({ email: `${name}@x.co`, userId: `user_${name}` }));
  expect(await s.contacts()).toMatchObject(after.map((each, i) => ({ ...each, id: before[i]?.id })));
});
