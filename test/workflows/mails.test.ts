// databases: sqlite
import { afterEach, describe, expect, test } from 'bun:test';
import { sql } from 'drizzle-orm';
import { mails, runs } from '../../src/db/schema.ts';
import { makeIdAt } from '../../src/id.ts';
import { retainMails } from '../../src/mail/retention.ts';
import { closeAll, later, message, sink, smtp, state } from '../mail/support.ts';
import { TestApp } from '../support/app.ts';

afterEach(closeAll);
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

type Nodes = Record<string, Record<string, unknown>>;
const exit = { typeName: 'ExitAction', nextNodeIds: [] };
const trigger = (next: string) => ({
  typeName: 'EventTrigger',
  eventName: 'paid',
  reEligible: true,
  nextNodeIds: [next],
});
const timer = (next: string) => ({ typeName: 'TimerAction', amount: 1, unit: 'h', nextNodeIds: [next] });
const send = (emailMessageId: string, next = 'x') => ({
  typeName: 'SendEmailAction',
  emailMessageId,
  nextNodeIds: [next],
});

/** An app with a mail server and a running workflow of these nodes. */
async function begun(nodesOf: (message: string) => Nodes, more: Record<string, unknown> = {}) {
  const server = await sink();
  const app = await TestApp.open({}, smtp(server.port));
  later(() => app.stop());
  app.time = Date.now();
  const em = (await message(app)).id;
  const { id } = (await app.api('POST', '/workflows', { name: 'w', ...more })).body;
  const put = await app.api('PUT', `/workflows/${id}/graph`, { rootNodeId: 't', nodes: nodesOf(em) });
  expect([put.status, put.body.message]).toEqual([200, undefined]);
  expect((await app.api('POST', `/workflows/${id}/start`)).status).toBe(200);
  return { app, server, id: id as string, em: em as string };
}
const pay = async (app: TestApp, email = 'ada@x.co') =>
  expect((await app.api('POST', '/events/send', { email, eventName: 'paid' })).status).toBe(200);
const all = async (app: TestApp) =>
  (await app.api('GET', '/mails?perPage=100')).body.data as { id: string; state: string; error: string | null }[];
const mailTo = async (app: TestApp, email: string) => (await app.api('GET', `/mails?email=${email}`)).body.data[0];
const runsOf = async (app: TestApp, id: string) => (await app.api('GET', `/workflows/${id}/runs`)).body.data;
/** Work goes on while no mail leaves. */
const quietly = async (app: TestApp, work: () => Promise<unknown>) => {
  await app.api('PATCH', '/mail', { paused: true });
  await work();
  await app.drain();
};
const speak = async (app: TestApp) => {
  await app.api('PATCH', '/mail', { paused: false });
  await app.drain();
};
const mailing = (em: string) => ({ t: trigger('m'), m: send(em), x: exit });

describe('what becomes of the mails of a workflow', () => {
  test('stopped: none of before goes out, also when it is started again; later ones do', async () => {
    const { app, server, id } = await begun(mailing);
    await quietly(app, async () => {
      for (let i = 0; i < 5; i++) await pay(app, `p${i}@x.co`);
      await app.drain();
      expect((await app.api('POST', `/workflows/${id}/stop`)).status).toBe(200);
      await app.drain();
      expect((await app.api('POST', `/workflows/${id}/start`)).status).toBe(200);
    });
    await speak(app);
    expect(server.mails).toHaveLength(0);
    for (const mail of await all(app))
      expect(mail).toMatchObject({ state: 'suppressed', error: 'The workflow was stopped.' });
    await pay(app, 'late@x.co');
    await app.drain();
    expect(server.mails.map(mail => mail.to)).toEqual([['late@x.co']]);
  });

  test('deleted: none goes out', async () => {
    const { app, server, id } = await begun(mailing);
    await quietly(app, async () => {
      await pay(app);
      await app.drain();
      expect((await app.api('DELETE', `/workflows/${id}`, { confirmDelete: true })).status).toBeLessThan(300);
    });
    await speak(app);
    expect(server.mails).toHaveLength(0);
    expect((await all(app))[0]).toMatchObject({ state: 'suppressed', error: 'The workflow was deleted.' });
  });

  test('paused: they are held until it is resumed; a stop meanwhile ends them', async () => {
    const { app, server, id } = await begun(mailing);
    await quietly(app, async () => {
      await pay(app);
      await app.drain();
      await app.api('POST', `/workflows/${id}/pause`);
    });
    await speak(app);
    expect((await all(app))[0]).toMatchObject({ state: 'held', error: expect.stringContaining('paused') });
    await app.api('POST', `/workflows/${id}/resume`);
    await app.drain();
    expect(server.mails).toHaveLength(1);
    await quietly(app, async () => {
      await pay(app, 'bob@x.co');
      await app.drain();
      await app.api('POST', `/workflows/${id}/pause`);
    });
    await speak(app);
    await app.api('POST', `/workflows/${id}/stop`);
    await app.drain();
    expect(server.mails).toHaveLength(1);
    expect((await all(app)).map(mail => mail.state).sort()).toEqual(['sent', 'suppressed']);
  });

  test('a node that is moved behind a timer by an edit does not send again in the same run', async () => {
    const { app, server, id, em } = await begun(em => ({ t: trigger('m'), m: send(em, 'w'), w: timer('x'), x: exit }));
    await pay(app);
    await app.drain();
    expect(server.mails).toHaveLength(1);
    const nodes = { t: trigger('w'), w: timer('m'), m: send(em), x: exit };
    expect((await app.api('PUT', `/workflows/${id}/graph`, { rootNodeId: 't', nodes })).status).toBe(200);
    app.time! += HOUR_MS + 1;
    await app.drain();
    expect(server.mails).toHaveLength(1);
    const [run] = await runsOf(app, id);
    const { steps } = (await app.api('GET', `/runs/${run.id}`)).body;
    expect(steps.map((step: { outcome: string }) => step.outcome)).toEqual([
      'entered',
      'sent',
      'waited',
      'skipped',
      'exited',
    ]);
    await pay(app); // another run
    app.time! += HOUR_MS + 1;
    await app.drain();
    app.time! += HOUR_MS + 1;
    await app.drain();
    expect(server.mails).toHaveLength(2);
  });

  test('after a stop nobody is counted as waiting', async () => {
    const { app, id } = await begun(() => ({ t: trigger('w'), w: timer('x'), x: exit }));
    for (let i = 0; i < 3; i++) await pay(app, `p${i}@x.co`);
    await app.drain();
    await app.api('POST', `/workflows/${id}/stop`);
    await app.drain();
    const { nodes } = (await app.api('GET', `/workflows/${id}/counts`)).body;
    expect(nodes.w).toEqual({ ended: 3 });
    const [run] = await runsOf(app, id);
    const { steps } = (await app.api('GET', `/runs/${run.id}`)).body;
    expect(steps.at(-1).doneAt).toBeString();
  });
});

describe('a merge at the wrong moment', () => {
  test('between the claim and the work: the run goes on and its mail reaches the one contact there is', async () => {
    const { app, server, id } = await begun(em => ({ t: trigger('w'), w: timer('m'), m: send(em), x: exit }));
    await pay(app, 'old@x.co');
    await app.drain();
    const survivor = (await app.api('POST', '/contacts/create', { email: 'new@x.co' })).body.id;
    const { store } = app.app.ctx;
    // As a merge leaves it whose job has not come by yet: the row is gone, its id leads to the survivor.
    await store.write(async tx => {
      const [run] = await tx.select().from(runs);
      await tx.run(
        sql`insert into merged_contacts (from_id, to_id, created_at) values (${run?.contactId}, ${survivor}, 1)`,
      );
      await tx.run(sql`delete from contacts where id = ${run?.contactId}`);
    });
    app.time! += HOUR_MS + 1;
    await app.drain();
    expect((await runsOf(app, id))[0]).toMatchObject({ status: 'completed' });
    expect(server.mails.map(mail => mail.to)).toEqual([['new@x.co']]);
  });

  test('between queue and letter, and after the claim, the mail reaches the survivor', async () => {
    const { app, server } = await begun(mailing);
    const survivor = (await app.api('POST', '/contacts/create', { email: 'new@x.co' })).body.id;
    await quietly(app, () => pay(app, 'old@x.co'));
    const { store } = app.app.ctx;
    await store.write(async tx => {
      const [mail] = await tx.select().from(mails);
      await tx.run(
        sql`insert into merged_contacts (from_id, to_id, created_at) values (${mail?.contactId}, ${survivor}, 1)`,
      );
      await tx.run(sql`delete from contacts where id = ${mail?.contactId}`);
    });
    await speak(app);
    expect(server.mails.map(mail => mail.to)).toEqual([['new@x.co']]);
  });

  test('contacts that become one take runs and mails along', async () => {
    const { app, id } = await begun(em => ({ t: trigger('m'), m: send(em, 'w'), w: timer('x'), x: exit }));
    await app.api('POST', '/contacts/create', { email: 'ada@x.co' });
    await pay(app, 'ada@x.co');
    await app.drain();
    const endpoint = await app.endpoint('stripe');
    const customer = (email: string, type: string, at: number) => ({
      ...{
        id: `evt_${type}_${at}`,
        object: 'event',
        type,
        livemode: false,
        created: Math.floor(app.now() / 1000) - 60 + at,
      },
      data: { object: { id: 'cus_1', object: 'customer', email, name: 'Ada', metadata: {} } },
    });
    await app.post(endpoint, 'stripe', customer('other@x.co', 'customer.created', 1));
    await app.drain();
    await pay(app, 'other@x.co');
    await app.drain();
    await app.post(endpoint, 'stripe', customer('ada@x.co', 'customer.updated', 2));
    await app.drain();
    const found = await app.contacts();
    expect(found).toHaveLength(1);
    const contactId = found[0]?.id as string;
    expect((await runsOf(app, id)).map((run: { contactId: string }) => run.contactId)).toEqual([contactId, contactId]);
    expect((await app.api('GET', `/mails?contactId=${contactId}`)).body.data).toHaveLength(2);
  });
});

describe('cancelling and retrying', () => {
  test('what waits or is held is taken back; what went out is a 409', async () => {
    const { app, server } = await begun(mailing);
    await quietly(app, async () => {
      await pay(app, 'one@x.co');
      await pay(app, 'two@x.co');
    });
    const [one, two] = await Promise.all(['one@x.co', 'two@x.co'].map(to => mailTo(app, to)));
    expect((await app.api('POST', `/mails/${one?.id}/cancel`)).status).toBe(200);
    await speak(app);
    expect(server.mails.map(mail => mail.to)).toEqual([['two@x.co']]);
    expect(await state(app, one!.id)).toMatchObject({ state: 'suppressed', error: 'It was cancelled.' });
    for (const mail of [one, two]) expect((await app.api('POST', `/mails/${mail?.id}/cancel`)).status).toBe(409);
    expect((await app.api('POST', '/mails/mail_none/cancel')).status).toBe(404);
  });

  test('a mail whose values are past their retention can not be retried blank', async () => {
    const { app, server } = await begun(mailing);
    await quietly(app, async () => {
      const body = { email: 'ada@x.co', eventName: 'paid', eventProperties: { amount: 29 } };
      expect((await app.api('POST', '/events/send', body)).status).toBe(200);
      await pay(app, 'bob@x.co'); // without values: nothing of it is lost
    });
    const [ada, bob] = await Promise.all(['ada@x.co', 'bob@x.co'].map(to => mailTo(app, to)));
    for (const mail of [ada, bob]) await app.api('POST', `/mails/${mail?.id}/cancel`);
    // Ids never go back, and other tests were in the future: retention goes by them.
    while (makeIdAt('mail', app.time! - 30 * DAY_MS) <= bob.id) app.time! += DAY_MS;
    await retainMails(app.app.ctx);
    await app.api('PATCH', '/mail', { paused: false });
    const refused = await app.api('POST', `/mails/${ada?.id}/retry`);
    expect([refused.status, refused.body.message]).toEqual([409, expect.stringContaining('retention')]);
    const free = await app.api('POST', `/mails/${bob?.id}/retry`);
    expect([free.status, free.body.message]).toEqual([200, undefined]);
    await app.drain();
    expect(server.mails.map(mail => mail.to)).toEqual([['bob@x.co']]);
  });

  test('the retention takes nothing from what is still to go out', async () => {
    const { app, server } = await begun(mailing);
    await quietly(app, async () => {
      const body = { email: 'ada@x.co', eventName: 'paid', eventProperties: { amount: 29 } };
      expect((await app.api('POST', '/events/send', body)).status).toBe(200);
    });
    app.time! += 5000 * DAY_MS;
    await retainMails(app.app.ctx);
    await speak(app);
    expect(server.mails[0]?.raw).toContain('Dear ');
    expect(server.mails[0]?.raw).toContain(', 29');
  });
});

test('a list that a workflow needs can not be deleted until that is stopped', async () => {
  const { app } = await begun(mailing);
  const list = (await app.api('POST', '/lists', { name: 'News' })).body.id;
  const { id } = (await app.api('POST', '/workflows', { name: 'limited', mailingListId: list })).body;
  await app.api('PUT', `/workflows/${id}/graph`, { rootNodeId: 't', nodes: { t: trigger('x'), x: exit } });
  const triggered = (await app.api('POST', '/workflows', { name: 'joined' })).body.id;
  const joined = { typeName: 'AddToListTrigger', mailingListId: list, reEligible: true, nextNodeIds: ['x'] };
  await app.api('PUT', `/workflows/${triggered}/graph`, { rootNodeId: 't', nodes: { t: joined, x: exit } });
  for (const each of [id, triggered]) {
    expect((await app.api('POST', `/workflows/${each}/start`)).status).toBe(200);
    const refused = await app.api('DELETE', `/lists/${list}`);
    expect([refused.status, refused.body.message]).toEqual([409, expect.stringContaining('needs this list')]);
    expect((await app.api('POST', `/workflows/${each}/stop`)).status).toBe(200);
  }
  await app.drain();
  expect((await app.api('DELETE', `/lists/${list}`)).status).toBe(200);
});

test('who left the list of the trigger leaves at the next node', async () => {
  const server = await sink();
  const app = await TestApp.open({}, smtp(server.port));
  later(() => app.stop());
  app.time = Date.now();
  const em = (await message(app)).id;
  const list = (await app.api('POST', '/lists', { name: 'News' })).body.id;
  const { id } = (await app.api('POST', '/workflows', { name: 'joined' })).body;
  const joined = { typeName: 'AddToListTrigger', mailingListId: list, reEligible: true, nextNodeIds: ['w'] };
  await app.api('PUT', `/workflows/${id}/graph`, {
    rootNodeId: 't',
    nodes: { t: joined, w: timer('m'), m: send(em), x: exit },
  });
  await app.api('POST', `/workflows/${id}/start`);
  await app.api('POST', '/contacts/create', { email: 'ada@x.co', mailingLists: { [list]: true } });
  await app.drain();
  await app.api('PUT', '/contacts/update', { email: 'ada@x.co', mailingLists: { [list]: false } });
  app.time += HOUR_MS + 1;
  await app.drain();
  expect((await runsOf(app, id))[0]).toMatchObject({ status: 'exited', reason: `the contact left list ${list}` });
  expect(server.mails).toHaveLength(0);
});
