import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { changed, checkout, clerk, customer, DAY, row, Story, stripe, supabase } from '../support/story.ts';

// What people type into a checkout, a portal or a sign-up proves nothing: it moves nobody else's contact and no mail.
let s: Story;
let pay: string;
beforeEach(async () => {
  s = await Story.open();
  pay = await s.endpoint('stripe');
});
afterEach(() => s.stop());

const made = (id: string, email: string, name = 'Vic Tim') =>
  s.hook(pay, 'stripe', stripe('customer.created', customer(id, email, { name }), s.now));
const moves = (id: string, from: string, to: string) =>
  s.hook(
    pay,
    'stripe',
    stripe('customer.updated', customer(id, to, { name: 'Mallory M' }), s.now, { previous: { email: from } }),
  );

describe('S01: typing strangers’ addresses pulls nobody together', () => {
  const victims = ['victim1@x.co', 'victim2@x.co', 'victim3@x.co'];

  test('in a portal, by one address after the other', async () => {
    for (const [n, email] of victims.entries()) await made(`cus_victim${n}`, email);
    const own = 'attacker@evil.example';
    await made('cus_attacker', own, 'Mallory M');
    const before = await s.contacts();
    for (const [from, to] of [[own, victims[0]], [victims[0], victims[1]], [victims[1], victims[2]]] as [string, string][]) {
      await moves('cus_attacker', from, to);
      expect((await s.contacts()).map(each => each.email)).toEqual(victims);
      for (const email of victims) expect(await s.find(email)).toMatchObject({ email, firstName: 'Vic' });
    }
    await moves('cus_attacker', victims[2]!, own);
    expect((await s.contacts()).map(each => each.email)).toEqual([own, ...victims]);
    for (const email of victims)
      expect(await s.find(email)).toMatchObject({ firstName: 'Vic', id: before.find(each => each.email === email)?.id });
    await s.api('PUT', '/contacts/update', { email: own, subscribed: false });
    for (const email of victims) expect(await s.find(email)).toMatchObject({ subscribed: true });
  }); // biome-ignore format: one glance

  test('contacts that the API made', async () => {
    for (const email of victims) await s.api('POST', '/contacts/create', { email, firstName: 'Vic' });
    await made('cus_attacker', 'attacker@evil.example', 'Mallory M');
    await moves('cus_attacker', 'attacker@evil.example', victims[0]!);
    await moves('cus_attacker', victims[0]!, victims[1]!);
    await moves('cus_attacker', victims[1]!, 'attacker@evil.example');
    expect((await s.contacts()).map(each => each.email)).toEqual(['attacker@evil.example', ...victims]);
    for (const email of victims) expect(await s.find(email)).toMatchObject({ firstName: 'Vic' });
  });

  test('checkouts of one customer with the typed addresses of others', async () => {
    for (const [n, email] of victims.entries()) await made(`cus_victim${n}`, email);
    await made('cus_attacker', 'attacker@evil.example', 'Mallory M');
    const before = await s.contacts();
    for (const email of victims.slice(0, 2)) {
      const session = checkout(email, { customer: 'cus_attacker', customer_details: { email, name: 'Mallory M' } });
      await s.hook(pay, 'stripe', stripe('checkout.session.completed', session, s.now));
    }
    const shown = ({ id, email, firstName }: Record<string, unknown>) => ({ id, email, firstName });
    expect((await s.contacts()).map(shown)).toEqual(before.map(shown));
  });
});

describe('S02: an unverified sign-up takes over nobody', () => {
  const BAIT = 'your account is locked';
  const unproven = { email_confirmed_at: null, raw_user_meta_data: { first_name: BAIT } };

  async function held(signUp: () => Promise<{ kinds: string[] }>, moveOn: () => Promise<unknown>, shows: boolean) {
    const paid = (id: string) =>
      s.hook(pay, 'stripe', stripe('invoice.paid', { id, customer: 'cus_payer', customer_email: 'payer@x.co' }, s.now));
    await made('cus_payer', 'payer@x.co', 'Pay Er');
    const payer = await s.find('payer@x.co');
    s.pass(DAY);
    expect((await signUp()).kinds).toContain('link.withheld');
    expect(await s.contacts()).toMatchObject([{ id: payer?.id, firstName: 'Pay', userId: null }]);
    expect((await paid('in_1')).contactId).toBe(payer?.id as string);
    await moveOn();
    expect(await s.find('payer@x.co')).toMatchObject({ id: payer?.id, firstName: 'Pay', userId: null });
    expect((await paid('in_2')).contactId).toBe(payer?.id as string);
    expect((await s.contacts()).map(each => each.email)).toEqual(
      shows ? ['payer@x.co', 'thief@evil.example'] : ['payer@x.co'],
    );
  }

  test('Supabase', async () => {
    const auth = await s.endpoint('supabase');
    let mine = row('thief', 'payer@x.co', s.now);
    await held(
      () => {
        mine = row('thief', 'payer@x.co', s.now, unproven);
        return s.hook(auth, 'supabase', supabase('INSERT', mine));
      },
      () => s.hook(auth, 'supabase', supabase('UPDATE', changed(mine, s.now, { email: 'thief@evil.example' }), mine)),
      true,
    );
  });

  test('Supabase that confirms by itself', async () => {
    const auth = await s.endpoint('supabase');
    let mine = row('thief', 'payer@x.co', s.now);
    await held(
      () => {
        const at = new Date(s.now).toISOString();
        mine = row('thief', 'payer@x.co', s.now, {
          ...unproven,
          created_at: at,
          email_confirmed_at: at,
          confirmation_sent_at: null as never,
        });
        return s.hook(auth, 'supabase', supabase('INSERT', mine));
      },
      () => s.hook(auth, 'supabase', supabase('UPDATE', changed(mine, s.now, { email: 'thief@evil.example' }), mine)),
      true,
    );
  });

  test('Clerk', async () => {
    const auth = await s.endpoint('clerk');
    const address = (email: string) => ({
      first_name: BAIT,
      email_addresses: [{ id: 'idn_1', email_address: email, verification: { status: 'unverified' } }],
    });
    await held(
      () => s.hook(auth, 'clerk', clerk('user.created', 'thief', null, s.now, address('payer@x.co'))),
      () => s.hook(auth, 'clerk', clerk('user.updated', 'thief', null, s.now, address('thief@evil.example'))),
      true,
    );
  });

  test('ignored altogether where only proven addresses count', async () => {
    const auth = await s.endpoint('supabase', { settings: { confirmedOnly: true } });
    await made('cus_payer', 'payer@x.co', 'Pay Er');
    s.pass(DAY);
    const mine = row('thief', 'payer@x.co', s.now, unproven);
    await s.hook(auth, 'supabase', supabase('INSERT', mine));
    await s.hook(auth, 'supabase', supabase('UPDATE', changed(mine, s.now, { email: 'thief@evil.example' }), mine));
    expect(await s.contacts()).toMatchObject([{ email: 'payer@x.co', firstName: 'Pay', userId: null }]);
  });

  test('the payer’s own sign-up, proven, is the contact', async () => {
    const auth = await s.endpoint('supabase');
    await made('cus_payer', 'payer@x.co', 'Pay Er');
    s.pass(DAY);
    await s.hook(auth, 'supabase', supabase('INSERT', row('u1', 'payer@x.co', s.now)));
    expect(await s.contacts()).toMatchObject([{ email: 'payer@x.co', firstName: 'Pay', userId: 'u1' }]);
  });
});
