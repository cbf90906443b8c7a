import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import * as six from 'loops6';
import * as seven from 'loops7';
import { closeAll } from '../mail/support.ts';
import { API_KEY } from '../support/app.ts';
import { failure, served, time } from './support.ts';

// Transactional mail by the official clients, up to what a real mail server is given.
let app: Awaited<ReturnType<typeof served>>['app'];
let server: Awaited<ReturnType<typeof served>>['server'];
let apiRoot = '';
beforeEach(async () => {
  ({ app, server, apiRoot } = await served());
});
afterEach(closeAll);

const connect = <T extends object>(Client: new (key: string) => T) => Object.assign(new Client(API_KEY), { apiRoot });
const loops7 = () => connect(seven.LoopsClient);

const BODY = '<p>Go to {{ data.url }}, {{ data.name }}</p>';

/** A published transactional email that needs `url` and `name`. */
async function published(name = 'Sign-up') {
  const loops = loops7();
  const { id, draftEmailMessageId } = await loops.createTransactionalEmail({ name });
  await app.api('POST', `/email-messages/${draftEmailMessageId}`, { subject: 'Hi {{ data.name }}', html: BODY });
  return loops.publishTransactionalEmail(id);
}

const versions = { 'loops@7.3.0': loops7, 'loops@6.2.1': () => connect(six.LoopsClient) };
for (const [version, client] of Object.entries(versions)) {
  describe(`${version}: sendTransactionalEmail`, () => {
    const sending = async () => {
      const loops = client();
      const { id: transactionalId } = await published();
      const dataVariables = { url: 'https://x.co/?a=1&b=2', name: '<Ada>' };
      return { loops, mail: { transactionalId, email: 'Ada@x.co', dataVariables } };
    };

    test('the mail arrives with its variables; the audience stays as it is unless asked', async () => {
      const { loops, mail } = await sending();
      expect(await loops.sendTransactionalEmail(mail)).toMatchObject({ success: true });
      await app.drain();
      expect(server.mails.map(each => each.to)).toEqual([['ada@x.co']]);
      expect(server.mails[0]?.raw).toContain('Subject: Hi <Ada>');
      expect(server.mails[0]?.raw.replaceAll('=\r\n', '')).toContain('&lt;Ada&gt;');
      expect(await app.contacts()).toEqual([]);
      await loops.sendTransactionalEmail({ ...mail, addToAudience: true });
      expect(await app.contacts()).toMatchObject([{ email: 'ada@x.co', source: 'API' }]);
    });

    test('an idempotency key works once, and a failed call does not use it up', async () => {
      const { loops, mail } = await sending();
      const keyed = { ...mail, headers: { 'Idempotency-Key': 'order 1' } };
      expect(await failure(loops.sendTransactionalEmail({ ...keyed, dataVariables: {} }))).toStartWith('400 - Missing');
      await loops.sendTransactionalEmail(keyed);
      const used = '409 - Idempotency key already used with a different request body.';
      expect(await failure(loops.sendTransactionalEmail(keyed))).toBe(used);
      const long = { ...mail, headers: { 'Idempotency-Key': 'x'.repeat(101) } };
      expect(await failure(loops.sendTransactionalEmail(long))).toStartWith('400 - Idempotency-Key: ');
      await app.drain();
      expect(server.mails).toHaveLength(1);
    });

    test('what is wrong is named', async () => {
      const { loops, mail } = await sending();
      const send = (more: object) => failure(loops.sendTransactionalEmail({ ...mail, ...more }));
      expect(await send({ dataVariables: { name: 'A' } })).toBe('400 - Missing required data variable(s): url');
      expect(await send({ dataVariables: undefined })).toBe('400 - Missing required data variable(s): name, url');
      expect(await send({ dataVariables: { name: null, url: 'u' } })).toStartWith('400 - dataVariables.name: ');
      expect(await send({ transactionalId: 'tr_none' })).toBe('404 - Transactional email not found.');
      expect(await send({ email: 'nobody' })).toBe('400 - Invalid email address.');
      const file = { filename: 'a.txt', contentType: 'text/plain', data: 'YQ==' };
      const attached = '400 - attachments.0: are not supported: link to the file instead';
      expect(await send({ attachments: [file] })).toBe(attached);
      const { id } = await loops7().createTransactionalEmail({ name: 'draft' });
      expect(await send({ transactionalId: id })).toStartWith('400 - This transactional email is not published yet.');
      await app.drain();
      expect(server.mails).toEqual([]);
    });
  });
}

describe('transactional emails', () => {
  test('loops@6.2.1: getTransactionalEmails shows the published ones', async () => {
    const loops = connect(six.LoopsClient);
    await loops7().createTransactionalEmail({ name: 'draft' });
    for (let i = 0; i < 11; i++) await published(`n${i}`);
    const first = await loops.getTransactionalEmails({ perPage: 10 });
    expect(first.pagination).toMatchObject({ totalResults: 11, returnedResults: 10, perPage: 10, totalPages: 2 });
    const one = { id: expect.any(String), name: 'n10', lastUpdated: time, dataVariables: ['name', 'url'] };
    expect(first.data[0]).toMatchObject(one);
    const rest = await loops.getTransactionalEmails({ perPage: 10, cursor: first.pagination.nextCursor ?? '' });
    expect(rest.data.map(each => each.name)).toEqual(['n0']);
    expect(await failure(loops.getTransactionalEmails({ cursor: 'no cursor' }))).toStartWith('400 - cursor: ');
  });

  test('made, listed, read, renamed', async () => {
    const loops = loops7();
    const made = await loops.createTransactionalEmail({ name: ' Sign-up ' });
    expect({ ...made }).toMatchObject({
      ...{ id: expect.stringMatching(/^tr_/), name: 'Sign-up', createdAt: time, updatedAt: time, dataVariables: [] },
      draftEmailMessageId: expect.stringMatching(/^em_/),
      draftEmailMessageContentRevisionId: expect.stringMatching(/^rev_/),
      ...{ publishedEmailMessageId: null, transactionalGroupId: null },
    });
    expect(await loops.getTransactionalEmail(made.id)).toEqual(made);
    const renamed = await loops.updateTransactionalEmail(made.id, { name: 'Welcome' });
    expect({ ...renamed }).toMatchObject({
      id: made.id,
      name: 'Welcome',
      draftEmailMessageId: made.draftEmailMessageId,
    });
    expect((await loops.listTransactionalEmails()).data).toEqual([renamed]);
    const page = (await loops.listTransactionalEmails({ perPage: 10, cursor: '' })).pagination;
    expect(page).toMatchObject({ totalResults: 1, nextCursor: null, nextPage: null });
    expect(await failure(loops.createTransactionalEmail({ name: '' }))).toStartWith('400 - name: ');
    const grouped = '400 - transactionalGroupId: groups are not part of Inlet; leave it out';
    expect(await failure(loops.createTransactionalEmail({ name: 'n', transactionalGroupId: 'g' }))).toBe(grouped);
    expect(await failure(loops.updateTransactionalEmail(made.id, { name: 'n', transactionalGroupId: 'g' }))).toBe(
      grouped,
    );
    expect(await failure(loops.listTransactionalEmails({ perPage: 101 }))).toStartWith('400 - perPage: ');
    for (const call of [
      () => loops.getTransactionalEmail('tr_none'),
      () => loops.updateTransactionalEmail('tr_none', { name: 'n' }),
      () => loops.ensureTransactionalEmailDraft('tr_none'),
      () => loops.publishTransactionalEmail('tr_none'),
    ])
      expect(await failure(call())).toBe('404 - Transactional email not found.');
  });

  test('a draft is published; a new draft begins as what is published', async () => {
    const loops = loops7();
    const made = await loops.createTransactionalEmail({ name: 'n' });
    expect(await loops.ensureTransactionalEmailDraft(made.id)).toEqual(made);
    expect(await failure(loops.publishTransactionalEmail(made.id))).toStartWith('400 - The draft needs a subject');
    await app.api('POST', `/email-messages/${made.draftEmailMessageId}`, { subject: 's', html: BODY });
    expect(await loops.publishTransactionalEmail(made.id)).toMatchObject({
      ...{ publishedEmailMessageId: made.draftEmailMessageId, draftEmailMessageId: null },
      dataVariables: ['name', 'url'],
    });
    expect(await failure(loops.publishTransactionalEmail(made.id))).toStartWith('409 - There is no draft to publish.');
    const again = await loops.ensureTransactionalEmailDraft(made.id);
    expect(again.publishedEmailMessageId).toBe(made.draftEmailMessageId);
    const draft = await loops.getEmailMessage(again.draftEmailMessageId ?? '');
    expect(draft).toMatchObject({ transactionalId: made.id, subject: 's', html: BODY });
    expect(draft.contentRevisionId).toBe(again.draftEmailMessageContentRevisionId);
    const old = loops.updateEmailMessage(made.draftEmailMessageId ?? '', { subject: 't' });
    expect(await failure(old)).toStartWith('409 - This version is published. Make a draft');
  });
});
