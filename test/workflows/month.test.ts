// databases: sqlite
import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { TestApp } from '../support/app.ts';

// A month of a workflow with timers and branches, on a clock of its own, against a model written without the engine.
const PEOPLE = Number(process.env.MONTH_PEOPLE ?? 1000);
const SEED = process.env.SEED ? Number(process.env.SEED) : Math.trunc(Math.random() * 2 ** 31);
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const TICK = 6 * HOUR;

interface Person {
  email: string;
  plan: 'Free' | 'Pro' | 'Team';
  /** ms after the start of the month. */
  joins: number;
  leaves: number | null;
  upgrades: number | null;
  /** The event comes so often. */
  repeats: number;
}

const person = (i: number): fc.Arbitrary<Person> =>
  fc.record({
    email: fc.constant(`p${i}@x.co`),
    plan: fc.constantFrom('Free', 'Pro', 'Team'),
    joins: fc.integer({ min: 0, max: 20 * 4 - 1 }).map(n => n * TICK),
    leaves: fc.option(
      fc.integer({ min: 1, max: 30 * 4 }).map(n => n * TICK + HOUR),
      { freq: 4 },
    ),
    upgrades: fc.option(
      fc.integer({ min: 1, max: 30 * 4 }).map(n => n * TICK + 2 * HOUR),
      { freq: 3 },
    ),
    repeats: fc.integer({ min: 1, max: 2 }),
  });

/** When a moment is looked at. */
const look = (at: number) => Math.ceil(at / TICK) * TICK;

/** What must be sent: subject and address. Timers are looked at once a tick, right after its changes. */
function model(people: Person[]): string[] {
  const sent: string[] = [];
  for (const who of people) {
    const joined = look(who.joins);
    const gone = (at: number) => who.leaves !== null && who.leaves <= at;
    const plan = (at: number) => (who.upgrades !== null && who.upgrades <= at ? 'Team' : who.plan);
    if (gone(joined)) continue;
    sent.push(`welcome ${who.email}`);
    const first = look(joined + 2 * DAY);
    if (gone(first)) continue;
    const on = plan(first);
    if (on === 'Free') {
      sent.push(`try pro ${who.email}`);
      const second = look(first + 5 * DAY);
      if (!gone(second) && plan(second) === 'Free') sent.push(`still free ${who.email}`);
    } else if (on === 'Pro') sent.push(`pro tips ${who.email}`);
  }
  return sent.sort();
}

const filter = (value: string, next: string, appliesDownstream = false) => ({
  typeName: 'AudienceFilter',
  audienceFilter: { match: 'all', conditions: [{ type: 'property', key: 'userGroup', operator: 'equals', value }] },
  appliesDownstream,
  nextNodeIds: [next],
});

async function build(app: TestApp): Promise<void> {
  const message = async (subject: string) =>
    (await app.api('POST', '/email-messages', { subject, html: '{{ contact.email }}' })).body.id;
  const send = async (subject: string, next: string) => ({
    ...{ typeName: 'SendEmailAction', emailMessageId: await message(subject) },
    nextNodeIds: [next],
  });
  const nodes = {
    t: { typeName: 'EventTrigger', eventName: 'joined', reEligible: false, nextNodeIds: ['m1'] },
    m1: await send('welcome', 'w1'),
    w1: { typeName: 'TimerAction', amount: 2, unit: 'd', nextNodeIds: ['b'] },
    b: { typeName: 'BranchNode', nextNodeIds: ['free', 'pro'] },
    free: filter('Free', 'm2'),
    m2: await send('try pro', 'w2'),
    w2: { typeName: 'TimerAction', amount: 120, unit: 'h', nextNodeIds: ['still'] },
    still: filter('Free', 'm3'),
    m3: await send('still free', 'x'),
    pro: filter('Pro', 'm4'),
    m4: await send('pro tips', 'x'),
    x: { typeName: 'ExitAction', nextNodeIds: [] },
  };
  const { id } = (await app.api('POST', '/workflows', { name: 'month' })).body;
  await app.api('PUT', `/workflows/${id}/graph`, { expectedRevisionId: null, rootNodeId: 't', nodes });
  expect((await app.api('POST', `/workflows/${id}/start`)).status).toBe(200);
}

async function sentBy(app: TestApp): Promise<string[]> {
  const sent: string[] = [];
  for (let cursor = ''; ; ) {
    const { data, pagination } = (await app.api('GET', `/mails?perPage=100&cursor=${cursor}`)).body;
    // Who left between the queueing and the sending gets nothing: that is the mailer's look, not the workflow's.
    for (const mail of data) sent.push(`${mail.subject ?? `? ${mail.error}`} ${mail.to}`);
    if (!pagination.nextCursor) return sent.sort();
    cursor = pagination.nextCursor;
  }
}

test(`a month of ${PEOPLE} people, with crashes and repeated events, sends what the model says`, async () => {
  console.log(`month: SEED=${SEED} MONTH_PEOPLE=${PEOPLE}`);
  const [people = []] = fc.sample(fc.tuple(...Array.from({ length: PEOPLE }, (_, i) => person(i))), {
    numRuns: 1,
    seed: SEED,
  });
  const begin = Math.ceil(Date.now() / DAY) * DAY;
  let app = await TestApp.open();
  app.time = begin - HOUR;
  await build(app);
  const due = (from: number, to: number, at: (who: Person) => number | null) =>
    people.filter(who => {
      const when = at(who);
      return when !== null && when > from && when <= to;
    });
  for (let now = 0; now <= 32 * DAY; now += TICK) {
    const from = now - TICK;
    app.time = begin + now;
    for (const who of due(from, now, each => each.joins)) {
      await app.api('PUT', '/contacts/update', { email: who.email, userGroup: who.plan });
      if (who.leaves !== null && who.leaves <= now)
        await app.api('PUT', '/contacts/update', { email: who.email, subscribed: false });
      for (let i = 0; i < who.repeats; i++)
        await app.api('POST', '/events/send', { email: who.email, eventName: 'joined' });
    }
    for (const who of due(from, now, each => each.upgrades))
      if (who.joins <= now) await app.api('PUT', '/contacts/update', { email: who.email, userGroup: 'Team' });
    for (const who of due(from, now, each => each.leaves))
      if (who.joins <= now) await app.api('PUT', '/contacts/update', { email: who.email, subscribed: false });
    if ((now / TICK) % 9 === 4) {
      await app.stop(true); // between two looks; what is leased or queued is found again
      app = await TestApp.open({}, {}, app.folder);
      app.time = begin + now;
    }
    await app.drain();
  }
  const expected = model(
    people.map(who => ({
      ...who,
      upgrades: who.upgrades !== null && look(who.upgrades) < who.joins ? null : who.upgrades,
    })),
  );
  expect(await sentBy(app)).toEqual(expected);
  await app.stop();
}, 240_000);
