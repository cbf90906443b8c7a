import { afterEach, beforeEach, expect, test } from 'bun:test';
import { join } from 'node:path';
import { run } from '../../src/cli/run.ts';
import { clerk } from '../../src/providers/clerk.ts';
import { supabase } from '../../src/providers/supabase.ts';
import { TestApp } from '../support/app.ts';
import { onSqlite } from '../support/onSqlite.ts';

let app: TestApp;
beforeEach(async () => {
  app = await TestApp.open();
});
afterEach(() => app.stop());

const asked = new Date(Date.now() - 60_000).toISOString();
/** A sign-up that Supabase confirmed by itself, by a mail, or not yet. */
async function signUp(id: string, n: number, proof: 'itself' | 'mail' | 'pending') {
  const body = supabase.sample('INSERT', `u${n}@x.co`, Date.now()) as { record: Record<string, unknown> };
  if (proof !== 'mail') body.record.confirmation_sent_at = null;
  body.record.email_confirmed_at = proof === 'pending' ? null : proof === 'mail' ? new Date().toISOString() : asked;
  body.record.created_at = asked;
  await app.post(id, 'supabase', body);
  await app.drain();
}
const shown = async (id: string) => (await app.api('GET', `/endpoints/${id}`)).body;

test('an endpoint whose users all come without proof says what follows, and what to do', async () => {
  const id = await app.endpoint('supabase');
  expect((await shown(id)).notes[0]).toContain("They take over nobody's contact and rank below payers");
  await signUp(id, 1, 'itself');
  await signUp(id, 2, 'itself');
  expect(await shown(id)).toMatchObject({ state: 'live', nextStep: null });
  await signUp(id, 3, 'itself');
  const told = await shown(id);
  expect(told.nextStep).toContain('Switch on "Confirm email"');
  expect(told.nextStep).toContain('settings.trustAutoConfirmed');
  expect(told.notes).toMatchObject([expect.stringContaining('The last 3 users who signed up have no proof')]);
  await signUp(id, 4, 'mail');
  expect(await shown(id)).toMatchObject({ nextStep: null });
});

test('settings that let nobody in without proof, or trust them, have nothing to say', async () => {
  const id = await app.endpoint('supabase');
  for (let n = 0; n < 4; n++) await signUp(id, n, 'itself');
  for (const settings of [{ confirmedOnly: true }, { confirmedOnly: null, trustAutoConfirmed: true }]) {
    await app.api('PATCH', `/endpoints/${id}`, { settings });
    expect(await shown(id)).toMatchObject({ nextStep: null, notes: [] });
  }
  expect(await shown(await app.endpoint('stripe'))).toMatchObject({ notes: [] });
});

test('who has still to confirm is no sign of anything; one person counts once', async () => {
  const id = await app.endpoint('supabase');
  for (let n = 0; n < 5; n++) await signUp(id, n, 'pending');
  expect(await shown(id)).toMatchObject({ nextStep: null });
  const other = await app.endpoint('clerk');
  const body = clerk.sample('user.created', 'a@x.co', Date.now()) as {
    data: { email_addresses: { verification: unknown }[] };
  };
  for (const address of body.data.email_addresses) address.verification = null;
  for (let n = 0; n < 4; n++) await app.post(other, 'clerk', body, { id: `msg_${n}` });
  await app.drain();
  expect(await shown(other)).toMatchObject({ nextStep: null });
  for (let n = 0; n < 2; n++) {
    const data = { ...body.data, id: `user_other${n}` };
    await app.post(other, 'clerk', { ...body, data }, { id: `msg_other${n}` });
  }
  await app.drain();
  expect((await shown(other)).nextStep).toContain('Verify at sign-up');
});

onSqlite('inlet doctor warns of it', async () => {
  const id = await app.endpoint('supabase', { name: 'auth.users' });
  for (let n = 0; n < 3; n++) await signUp(id, n, 'itself');
  const out: string[] = [];
  const env = { INLET_DATA_DIR: join(app.folder, 'data') };
  await run(['doctor', '--json'], { env, out: line => out.push(line), err: () => {} });
  const { findings } = JSON.parse(out.join('')) as { findings: { check: string; status: string; message: string }[] };
  const [found] = findings.filter(each => each.check === 'sign-ups');
  expect(found?.status).toBe('warn');
  expect(found?.message).toContain(`auth.users (${id})`);
  expect(found?.message).toContain('rank below payers');
});
