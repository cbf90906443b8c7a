import { afterEach, describe, expect, test } from 'bun:test';
import { eq } from 'drizzle-orm';
import { emailMessages } from '../../src/db/schema.ts';
import { closeAll, contact, message, open, queue, sink, state } from './support.ts';

afterEach(closeAll);

const BOMB = `{% assign a = (1..990000) | where_exp: 'i','i' %}`;

test('links with values in their query are saved and filled in; values without quotes are refused', async () => {
  const app = await open(null);
  for (const html of [
    '<a href="https://app.example.com/auth/confirm?token_hash={{ data.tokenHash }}&type=email">Confirm</a>',
    '<img src="https://x.example/p.gif?u={{ contact.userId }}" width="1">',
  ])
    expect((await app.api('POST', '/email-messages', { subject: 's', html })).status).toBe(201);
  const refused = await app.api('POST', '/email-messages', { subject: 's', html: '<p>\n<a href={{ data.url }}>x</a>' });
  expect(refused.status).toBe(400);
  expect(refused.body.message).toStartWith(
    'html: line 2, column 9: {{ data.url }} stands in an attribute without quotes',
  );
  const { body } = await app.api('POST', '/email-messages', {
    subject: 's',
    html: '<a href="https://a.example/?t={{ data.t }}">',
  });
  const shown = await app.api('POST', `/email-messages/${body.id}/render`, { dataVariables: { t: 'a&b=c#d' } });
  expect(shown.body.html).toBe('<a href="https://a.example/?t=a%26b%3Dc%23d">');
});

test('variables in the spelling of Loops draw a warning', async () => {
  const app = await open(null);
  const { status, body } = await app.api('POST', '/email-messages', {
    subject: 'Hi {firstName}',
    html: '<style>p{color:red}</style><p>{DATA_VARIABLE:url} {event.plan} {{ contact.firstName }} {unsubscribe_link} {not one} {{data.x}}</p>',
  });
  expect(status).toBe(201);
  expect(body.warnings.map((each: { rule: string }) => each.rule)).toEqual(Array(4).fill('foreignMergeTag'));
  const said = body.warnings.map((each: { message: string }) => each.message).join('\n');
  expect(said).toContain(
    'subject: {firstName} is no variable here and goes out as it stands. Write {{ contact.firstName }}.',
  );
  for (const right of ['{{ data.url }}', '{{ event.plan }}', '{{ unsubscribeUrl }}']) expect(said).toContain(right);
  const mended = await app.api('POST', `/email-messages/${body.id}`, {
    subject: 'Hi {{ contact.firstName }}',
    html: 'x',
  });
  expect(mended.body.warnings).toEqual([]);
});

test('two changes at once are both kept', async () => {
  const app = await open(null);
  const { body } = await app.api('POST', '/email-messages', { subject: 's', html: 'h' });
  const changes = ['subject', 'html', 'text', 'previewText', 'fromName'];
  const answers = await Promise.all(
    changes.map(each => app.api('POST', `/email-messages/${body.id}`, { [each]: each })),
  );
  expect(answers.map(each => each.status)).toEqual(Array(5).fill(200));
  const { body: kept } = await app.api('GET', `/email-messages/${body.id}`);
  expect(changes.map(each => kept[each])).toEqual(changes);
});

describe('variables', () => {
  const published = async (app: Awaited<ReturnType<typeof open>>) => {
    const { body: made } = await app.api('POST', '/transactional-emails', { name: 'confirm' });
    const content = { subject: '{{ data.name }}', html: '<a href="https://a.example/?t={{ data.token }}">' };
    await app.api('POST', `/email-messages/${made.draftEmailMessageId}`, content);
    return (await app.api('POST', `/transactional-emails/${made.id}/publish`)).body;
  };
  const kept = (app: Awaited<ReturnType<typeof open>>, id: string) =>
    app.app.ctx.store.read(tx => tx.select().from(emailMessages).where(eq(emailMessages.id, id)));

  test('are found when a message is saved, and kept with it and its drafts', async () => {
    const app = await open(null);
    const made = await published(app);
    expect(made.dataVariables).toEqual(['name', 'token']);
    const { body: drafted } = await app.api('POST', `/transactional-emails/${made.id}/draft`);
    for (const id of [made.publishedEmailMessageId, drafted.draftEmailMessageId])
      expect((await kept(app, id))[0]?.variables).toEqual(['data.name', 'data.token']);
    const asked = await app.api('POST', '/transactional', { transactionalId: made.id, email: 'a@b.example' });
    expect(asked.body.message).toBe('Missing required data variable(s): name, token');
  });

  test('of a message that an earlier release saved are found once', async () => {
    const app = await open(null);
    const made = await published(app);
    const forget = () => app.app.ctx.store.write(tx => tx.update(emailMessages).set({ variables: null }));
    await forget();
    const asked = await app.api('POST', '/transactional', { transactionalId: made.id, email: 'a@b.example' });
    expect(asked.body.message).toBe('Missing required data variable(s): name, token');
    expect((await kept(app, made.publishedEmailMessageId))[0]?.variables).toEqual(['data.name', 'data.token']);
    await forget();
    const { body: page } = await app.api('GET', '/transactional-emails');
    expect(page.data[0].dataVariables).toEqual(['name', 'token']);
    expect((await kept(app, made.publishedEmailMessageId))[0]?.variables).toEqual(['data.name', 'data.token']);
  });
});

describe('a message that takes too long', () => {
  test('fails with a reason and holds up no other mail', async () => {
    const server = await sink();
    const app = await open(server.port);
    const ada = await contact(app);
    const slow = await message(app, { subject: 'slow', html: BOMB });
    const good = await message(app);
    const slowIds: (string | null)[] = [];
    for (let i = 0; i < 20; i++) slowIds.push(await queue(app, ada, slow.id, { transactional: true }));
    for (let i = 0; i < 20; i++) await queue(app, ada, good.id);
    await app.drain();
    expect(server.mails).toHaveLength(20);
    const first = await Promise.all(slowIds.map(id => state(app, id)));
    for (const each of first) expect(['queued', 'failed']).toContain(each.state); // put off, or tried twice
    for (const each of first) expect(each.error).toContain('given up after 250 ms');
    for (let minute = 1; minute <= 3; minute++) {
      app.time = app.now() + 61_000;
      await app.drain();
    }
    const last = await Promise.all(slowIds.map(id => state(app, id)));
    expect(last.map(each => each.state)).toEqual(Array(20).fill('failed'));
  }, 30_000);

  test('is a 400 where it is tried out, and webhooks go on meanwhile', async () => {
    const app = await open(null);
    const { body } = await app.api('POST', '/email-messages', { subject: 's', html: BOMB });
    const endpoint = await app.endpoint('stripe');
    const shown = app.api('POST', `/email-messages/${body.id}/render`, {});
    let isDone = false;
    void shown.finally(() => {
      isDone = true;
    });
    let worst = 0;
    for (let i = 0; !isDone; i++) {
      const begun = performance.now();
      const { status } = await app.post(endpoint, 'stripe', {
        id: `evt_${i}`,
        object: 'event',
        type: 'x',
        livemode: true,
      });
      expect(status).toBe(200);
      worst = Math.max(worst, performance.now() - begun);
      await Bun.sleep(1);
    }
    expect((await shown).status).toBe(400);
    expect((await shown).body.message).toContain('250 ms');
    expect(worst).toBeLessThan(250);
  });
});
