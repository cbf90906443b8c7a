import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { LoopsClient } from 'loops7';
import { closeAll } from '../mail/support.ts';
import { API_KEY } from '../support/app.ts';
import { failure, served, time } from './support.ts';

// Email messages and workflows by loops@7.3.0 (6.2.1 has no calls for them), up to what a real mail server is given.
let app: Awaited<ReturnType<typeof served>>['app'];
let server: Awaited<ReturnType<typeof served>>['server'];
let loops: LoopsClient;
beforeEach(async () => {
  const given = await served();
  ({ app, server } = given);
  loops = Object.assign(new LoopsClient(API_KEY), { apiRoot: given.apiRoot });
});
afterEach(closeAll);

const made = async (path: string, body: object) => (await app.api('POST', path, body)).body;
const newMessage = (more: object = {}) =>
  made('/email-messages', { subject: 'Hi {{ contact.firstName }}', html: '<p>{{ event.amount }}</p>', ...more });
const newList = async (name: string): Promise<string> => (await made('/lists', { name })).id;

describe('email messages', () => {
  test('getEmailMessage, updateEmailMessage', async () => {
    const { id } = await newMessage();
    const first = await loops.getEmailMessage(id);
    expect(first).toMatchObject({
      ...{ id, emailMessageId: id, subject: 'Hi {{ contact.firstName }}', previewText: '', lmx: '' },
      ...{ fromName: '', fromEmail: '', replyToEmail: '', emailFormat: 'styled', updatedAt: time },
    });
    const expectedRevisionId = first.contentRevisionId ?? '';
    const fields = { previewText: 'p', fromName: 'Acme', fromEmail: 'news', replyToEmail: 'help@acme.test' };
    const fallbacks = { contactPropertiesFallbacks: { firstName: 'you', plan: 'none' } };
    const second = await loops.updateEmailMessage(id, { ...fields, ...fallbacks, expectedRevisionId });
    expect(second).toMatchObject({ ...fields, ...fallbacks, warnings: [] });
    expect(second.contentRevisionId).not.toBe(expectedRevisionId);
    const stale = '409 - Content revision ID is stale. Read the message again and repeat the change.';
    expect(await failure(loops.updateEmailMessage(id, { expectedRevisionId, subject: 'late' }))).toBe(stale);
    const third = await loops.updateEmailMessage(id, { contactPropertiesFallbacks: { plan: null } });
    expect(third.contactPropertiesFallbacks).toEqual({ firstName: 'you' });
    const { warnings, ...shown } = third;
    expect(await loops.getEmailMessage(id)).toEqual(shown);
  });

  test('LMX is kept and warned of; copies and languages are refused', async () => {
    const { id } = await newMessage({ html: '', text: '' });
    const lmx = '<Text>Hello</Text>';
    const message = 'LMX is kept, but not sent. Give html.';
    expect(await loops.updateEmailMessage(id, { lmx })).toMatchObject({ lmx, warnings: [{ message }] });
    const change = (more: object) => failure(loops.updateEmailMessage(id, more));
    expect(await change({ lmx: 'x'.repeat(100_001) })).toBe('413 - lmx: is over 100000 characters.');
    for (const field of ['ccEmail', 'bccEmail'])
      expect(await change({ [field]: 'a@x.co' })).toBe(`400 - ${field}: is not supported; each mail has one recipient`);
    expect(await change({ languageCode: 'de' })).toStartWith('400 - languageCode: is not supported; write one message');
    expect(await change({ ccEmail: '', subject: 's' })).toBe('no failure');
    expect(await change({ subject: '{{ nope' })).toStartWith('400 - subject: ');
    expect(await change({ fromEmail: 'a@x.co' })).toStartWith('400 - fromEmail: is the part before the @ only');
    for (const call of [
      () => loops.getEmailMessage('em_none'),
      () => loops.updateEmailMessage('em_none', { subject: 's' }),
      () => loops.sendEmailMessagePreview('em_none', { emails: ['a@x.co'] }),
    ])
      expect(await failure(call())).toBe('404 - Email message not found.');
  });

  test('sendEmailMessagePreview', async () => {
    const { id } = await newMessage();
    const preview = { contactProperties: { firstName: 'Grace' }, eventProperties: { amount: '29' } };
    const sent = await loops.sendEmailMessagePreview(id, { emails: ['a@x.co', 'B@x.co'], ...preview });
    await app.drain();
    expect(server.mails.map(each => each.to[0]).sort()).toEqual(['a@x.co', 'b@x.co']);
    expect(server.mails[0]?.raw).toContain('Subject: Hi Grace');
    expect((await app.api('GET', `/mails/${sent.id}`)).body).toMatchObject({ state: 'sent', to: 'a@x.co' });
    const refused = (emails: string[]) => failure(loops.sendEmailMessagePreview(id, { emails }));
    expect(await refused(['nobody'])).toBe('400 - Invalid email address.');
    expect(await refused([])).toStartWith('400 - emails: ');
    expect(await refused(Array.from({ length: 11 }, (_, i) => `a${i}@x.co`))).toStartWith('400 - emails: ');
    expect(server.mails).toHaveLength(2);
  });
});

/** A running workflow that mails whoever pays; `timer` lets everybody wait a day first. */
async function running(timer = false): Promise<string> {
  const { id } = await loops.createWorkflow({ name: 'Thanks' });
  const emailMessageId = (await newMessage()).id;
  const graph = {
    rootNodeId: 't',
    nodes: {
      t: { typeName: 'EventTrigger', eventName: 'paid', reEligible: true, nextNodeIds: ['w'] },
      w: { typeName: 'TimerAction', amount: timer ? 1 : 0, unit: 'd', nextNodeIds: ['m'] },
      m: { typeName: 'SendEmailAction', emailMessageId, nextNodeIds: ['x'] },
      x: { typeName: 'ExitAction', nextNodeIds: [] },
    },
  };
  expect((await app.api('PUT', `/workflows/${id}/graph`, graph)).status).toBe(200);
  expect((await app.api('POST', `/workflows/${id}/start`)).status).toBe(200);
  return id;
}

const paid = async () => {
  await loops.sendEvent({
    ...{ email: 'ada@x.co', eventName: 'paid', eventProperties: { amount: 29 } },
    contactProperties: { firstName: 'Ada' },
  });
  await app.drain();
};

describe('workflows', () => {
  test('createWorkflow, getWorkflow, listWorkflows, updateWorkflow', async () => {
    const mailingListId = await newList('News');
    const workflow = await loops.createWorkflow({ name: 'Thanks', description: 'd', mailingListId });
    expect(workflow).toMatchObject({
      ...{ workflowRevisionId: null, status: 'Draft', name: 'Thanks', description: 'd' },
      ...{ mailingListId, rootNodeId: 'trigger' },
      nodes: {
        trigger: { typeName: 'BlankTrigger', nextNodeIds: ['exit'] },
        exit: { typeName: 'ExitAction', nextNodeIds: [] },
      },
    });
    const { id } = workflow;
    expect(await loops.getWorkflow(id)).toEqual(workflow);
    const renamed = await loops.updateWorkflow(id, { expectedRevisionId: null, name: 'Thank you' });
    expect({ ...renamed }).toMatchObject({
      name: 'Thank you',
      description: 'd',
      workflowRevisionId: expect.any(String),
    });
    const stale = loops.updateWorkflow(id, { expectedRevisionId: null, name: 'late' });
    expect(await failure(stale)).toStartWith('409 - expectedRevisionId: is stale');
    for (let i = 0; i < 10; i++) await loops.createWorkflow({ name: `w${i}` });
    const first = await loops.listWorkflows({ perPage: 10 });
    expect(first.pagination).toMatchObject({ totalResults: 11, returnedResults: 10, totalPages: 2 });
    const rest = await loops.listWorkflows({ perPage: 10, cursor: first.pagination.nextCursor ?? '' });
    expect(rest.data).toMatchObject([{ id, name: 'Thank you', createdAt: time, updatedAt: time }]);
    expect(await failure(loops.createWorkflow({ name: '' }))).toStartWith('400 - name: ');
    const unknown = loops.createWorkflow({ name: 'n', mailingListId: 'list_none' });
    expect(await failure(unknown)).toStartWith('400 - mailingListId: there is no list list_none.');
    const any = { expectedRevisionId: null };
    for (const call of [
      () => loops.getWorkflow('wf_none'),
      () => loops.updateWorkflow('wf_none', { ...any, name: 'n' }),
      () => loops.deleteWorkflow('wf_none', any),
      () => loops.changeWorkflowMailingList('wf_none', { ...any, mailingListId: null }),
      () => loops.getWorkflowNode('wf_none', 'exit'),
    ])
      expect(await failure(call())).toBe('404 - Workflow not found.');
  });

  test('a workflow that runs mails with the event’s properties; its nodes are read', async () => {
    const id = await running();
    await paid();
    expect(server.mails.map(each => each.to[0])).toEqual(['ada@x.co']);
    expect(server.mails[0]?.raw).toContain('Subject: Hi Ada');
    expect(server.mails[0]?.raw).toContain('29');
    const { status, workflowRevisionId } = await loops.getWorkflow(id);
    expect(status).toBe('Sending');
    const seen = { workflowId: id, workflowRevisionId };
    expect(await loops.getWorkflowNode(id, 't')).toEqual({
      ...{ id: 't', typeName: 'EventTrigger', eventName: 'paid', reEligible: true, nextNodeIds: ['w'], ...seen },
      eventProperties: [{ name: 'amount', type: 'number' }],
    });
    const mailing = { typeName: 'SendEmailAction', subject: 'Hi {{ contact.firstName }}' };
    expect(await loops.getWorkflowNode(id, 'm')).toMatchObject({ id: 'm', ...mailing, ...seen });
    expect(await failure(loops.getWorkflowNode(id, 'none'))).toBe('404 - Workflow node not found.');
    await app.api('POST', `/workflows/${id}/pause`);
    expect((await loops.getWorkflow(id)).status).toBe('PausedAndQueueing');
  });

  test('changeWorkflowMailingList: its three answers', async () => {
    const id = await running(true);
    await paid();
    const mailingListId = await newList('News');
    const expectedRevisionId = (await loops.getWorkflow(id)).workflowRevisionId;
    const change = (more: object) =>
      loops.changeWorkflowMailingList(id, { expectedRevisionId, mailingListId, ...more });
    const counted = { mailingListId, queuedContactCount: 1 };
    expect(await change({ dryRun: true })).toEqual({ status: 'dryRun', ...counted });
    expect(await change({})).toEqual({ status: 'queuedContactsFound', ...counted });
    expect(await failure(change({ mailingListId: 'list_none' }))).toStartWith('400 - mailingListId: ');
    const updated = await change({ queuedContactPolicy: 'discard' });
    expect(updated).toMatchObject({ status: 'updated', ...counted, workflow: { id, mailingListId } });
    expect(await failure(change({}))).toStartWith('409 - expectedRevisionId: is stale');
    await app.drain();
    const { data } = (await app.api('GET', `/workflows/${id}/runs`)).body;
    expect(data).toMatchObject([{ status: 'exited', reason: 'its mailing list was changed' }]);
  });

  test('deleteWorkflow: at once, or confirmed while it is in use', async () => {
    const draft = await loops.createWorkflow({ name: 'n' });
    expect(await loops.deleteWorkflow(draft.id, { expectedRevisionId: null })).toBeUndefined();
    expect(await failure(loops.getWorkflow(draft.id))).toBe('404 - Workflow not found.');
    const id = await running(true);
    await paid();
    const { workflowRevisionId: expectedRevisionId } = await loops.getWorkflow(id);
    const stale = loops.deleteWorkflow(id, { expectedRevisionId: 'rev_old', confirmDelete: true });
    expect(await failure(stale)).toStartWith('409 - expectedRevisionId: is stale');
    expect(await failure(loops.deleteWorkflow(id, { expectedRevisionId }))).toEndWith(
      'Confirm deletion by sending a second request with confirmDelete: true.',
    );
    expect(await loops.deleteWorkflow(id, { expectedRevisionId, confirmDelete: true })).toBeUndefined();
    expect((await loops.listWorkflows()).data).toEqual([]);
    expect(server.mails).toEqual([]);
  });
});
