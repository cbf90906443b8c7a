// databases: sqlite
import { afterEach, describe, expect, test } from 'bun:test';
import { sql } from 'drizzle-orm';
import type { SMTPServerOptions } from 'smtp-server';
import { mails } from '../../src/db/schema.ts';
import { PAUSE_MS } from '../../src/mail/breaker.ts';
import { TestApp } from '../support/app.ts';
import { faultySmtp } from '../support/smtp.ts';
import { closeAll, later, message, open, queue, sink, smtp, state, subscribed } from './support.ts';

afterEach(closeAll);
type OnRcptTo = NonNullable<SMTPServerOptions['onRcptTo']>;

/** A server that answers `refusals.get(address)`, or `all` to everybody. */
function refusing(refusals: Map<string, string>, of: { all: string | null } = { all: null }): OnRcptTo {
  return ({ address }, _, done) => {
    const reply = of.all ?? refusals.get(address);
    if (reply === undefined) return done();
    done(Object.assign(new Error(reply.slice(4)), { responseCode: Number(reply.slice(0, 3)) }));
  };
}

async function people(app: TestApp, n: number, prefix = 'p') {
  const found: { id: string; email: string }[] = [];
  for (let i = 0; i < n; i++) {
    const email = `${prefix}${i}@example.com`;
    found.push({ id: (await app.api('POST', '/contacts/create', { email })).body.id, email });
  }
  return found;
}
const trouble = async (app: TestApp) => (await app.health()).body.mailTrouble;

describe('refusals that are the same for everybody', () => {
  test.each(['550 5.1.1 user unknown', '554 5.7.1 relay access denied'])(
    '%s: nobody is lost, all mail pauses, and goes on when it is over',
    async reply => {
      const of: { all: string | null } = { all: reply };
      const server = await sink({ onRcptTo: refusing(new Map(), of) });
      const app = await open(server.port);
      app.time = Date.now();
      const { id } = await message(app);
      const all = await people(app, 30);
      const ids = [];
      for (const each of all) ids.push(await queue(app, each, id));
      await app.drain();
      for (const mailId of ids) expect((await state(app, mailId)).state).toBe('queued');
      for (const { email } of all) {
        expect(await subscribed(app, email)).toBe(true);
        expect((await app.api('GET', `/contacts/suppression?email=${email}`)).body.isSuppressed).toBe(false);
      }
      expect(await trouble(app)).toContain('All mail pauses');
      of.all = null;
      const [late] = await people(app, 1, 'late');
      const lateId = await queue(app, late!, id, { transactional: true });
      await app.drain();
      expect(server.mails).toHaveLength(0);
      app.time += PAUSE_MS + 1;
      await app.drain();
      expect((await state(app, lateId)).state).toBe('sent'); // the urgent one tried first
      for (const mailId of ids) expect((await state(app, mailId)).state).toBe('sent');
      expect(await trouble(app)).toBeNull();
    },
    20_000,
  );

  test('after the pause one tries; while it is refused in the same words, all others wait', async () => {
    let asked = 0;
    const refuse = refusing(new Map(), { all: '550 5.1.1 user unknown' });
    const onRcptTo: OnRcptTo = (...given) => {
      asked++;
      refuse(...given);
    };
    const server = await sink({ onRcptTo });
    const app = await open(server.port);
    app.time = Date.now();
    const { id } = await message(app);
    for (const each of await people(app, 10)) await queue(app, each, id);
    await app.drain();
    expect(asked).toBe(10);
    app.time += PAUSE_MS + 1;
    await app.drain();
    expect(asked).toBe(11);
    expect((await app.api('GET', '/mails?state=bounced')).body.data).toEqual([]);
  });

  test('where others are taken, or where they are few, proof is proof', async () => {
    const dead = '550 5.1.1 no such user';
    const refusals = new Map<string, string>(Array.from({ length: 7 }, (_, i) => [`p${i}@example.com`, dead]));
    refusals.set('alone0@example.com', dead);
    const server = await sink({ onRcptTo: refusing(refusals) });
    const app = await open(server.port);
    const { id } = await message(app);
    const [alone] = await people(app, 1, 'alone');
    const first = await queue(app, alone!, id);
    await app.drain();
    expect((await state(app, first)).state).toBe('bounced');
    const ids = [];
    for (const each of await people(app, 9)) ids.push(await queue(app, each, id));
    await app.drain();
    const states = [];
    for (const mailId of ids) states.push((await state(app, mailId)).state);
    expect(states).toEqual([...Array.from({ length: 7 }, () => 'bounced'), 'sent', 'sent']);
    expect(await subscribed(app, 'p0@example.com')).toBe(false);
  });
});

test('one mail that is always answered 421 holds nobody else up', async () => {
  const refusals = new Map([['p0@example.com', '421 4.3.0 come back later']]);
  const server = await sink({ onRcptTo: refusing(refusals) });
  const app = await open(server.port);
  app.time = Date.now();
  const { id } = await message(app);
  const [bad, ...good] = await people(app, 4);
  const badId = await queue(app, bad!, id);
  await app.drain();
  expect(await state(app, badId)).toMatchObject({ state: 'queued', attempts: 1 });
  for (const each of good) await queue(app, each, id);
  await app.drain();
  expect(server.mails).toHaveLength(3);
  for (let tries = 1; tries < 14; tries++) {
    const { nextAttemptAt } = await state(app, badId);
    app.time = Date.parse(nextAttemptAt) + 1;
    await app.drain();
  }
  expect((await state(app, badId)).state).toBe('failed'); // it comes to an end
}, 20_000);

test('a password reset goes out before the bulk that was queued first', async () => {
  const onData: SMTPServerOptions['onData'] = (stream, session, done) => {
    stream.on('data', () => {});
    stream.on('end', () => {
      order.push(session.envelope.rcptTo[0]?.address ?? '');
      setTimeout(done, 20);
    });
  };
  const order: string[] = [];
  const server = await sink({ onData });
  const app = await TestApp.open({}, smtp(server.port, { connections: 1 }));
  later(() => app.stop());
  const { id } = await message(app);
  for (const each of await people(app, 60)) await queue(app, each, id);
  const drained = app.drain();
  while (order.length < 3) await Bun.sleep(5);
  await queue(app, 'reset@example.com', id, { transactional: true });
  const before = order.length;
  await drained;
  expect(order).toHaveLength(61);
  expect(order.indexOf('reset@example.com') - before).toBeLessThan(15); // it is looked for five times a second
}, 20_000);

test('a letter is made when there is a connection for it: who unsubscribed while it waited is not mailed', async () => {
  const slow: SMTPServerOptions['onData'] = (stream, session, done) => {
    stream.on('data', () => {});
    stream.on('end', () => {
      taken.push(session.envelope.rcptTo[0]?.address ?? '');
      setTimeout(done, 400);
    });
  };
  const taken: string[] = [];
  const server = await sink({ onData: slow });
  const app = await TestApp.open({}, smtp(server.port, { connections: 1 }));
  later(() => app.stop());
  const { id } = await message(app);
  for (const each of await people(app, 4)) await queue(app, each, id);
  const drained = app.drain();
  while (!taken.length) await Bun.sleep(5);
  await app.api('PUT', '/contacts/update', { email: 'p3@example.com', subscribed: false });
  await drained;
  expect(taken).toEqual(['p0@example.com', 'p1@example.com', 'p2@example.com']);
  const [last] = (await app.api('GET', '/mails?email=p3@example.com')).body.data;
  expect(last).toMatchObject({ state: 'suppressed', error: 'The contact is unsubscribed.' });
}, 20_000);

test('a server that hangs: a stop is quick and clean, nothing counts as a crash', async () => {
  const server = await faultySmtp('DATA', 'hang');
  later(() => server.close());
  const app = await TestApp.open({}, smtp(server.port));
  const { id } = await message(app);
  for (const each of await people(app, 30)) await queue(app, each, id);
  const drained = app.drain();
  await Bun.sleep(300);
  const begun = performance.now();
  await app.stop(true);
  expect(performance.now() - begun).toBeLessThan(5000);
  await drained;
  const again = await TestApp.open({}, {}, app.folder);
  later(() => again.stop());
  const rows = await again.app.ctx.store.read(tx =>
    tx
      .select({ state: mails.state, crashes: mails.crashes, n: sql`count(*)` })
      .from(mails)
      .groupBy(mails.state, mails.crashes),
  );
  expect(rows.map(row => ({ ...row, n: Number(row.n) }))).toEqual([{ state: 'queued', crashes: 0, n: 30 }]);
}, 20_000);
