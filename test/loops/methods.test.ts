import { afterAll, beforeAll, expect, test } from 'bun:test';
import * as six from 'loops6';
import * as seven from 'loops7';
import { suppress } from '../../src/audience/suppressions.ts';
import { API_KEY, TestApp } from '../support/app.ts';

// Every method of the official clients, called once against the running server: it works, or is refused with a sentence
// that says what to do instead. The methods are read off the clients, so none can be forgotten.

const NODES = "405 - Nodes can't be changed one by one. Use PUT /workflows/{id}/graph with the whole graph.";
const NO_NODES = NODES.replace('405', '404');
const SEGMENTS = '404 - Segments are not part of Inlet. Use lists, or AudienceFilter nodes in a workflow.';
const THEMES = '404 - Themes are not part of Inlet. Style the html of POST /email-messages/{id}.';
const COMPONENTS = '404 - Components are not part of Inlet. Put the whole html into POST /email-messages/{id}.';
const CAMPAIGNS =
  '404 - Campaigns are not part of Inlet. Use a workflow that begins with an AddToListTrigger or an event.';
const GROUPS = '404 - Groups are not part of Inlet. Tell things apart by their names.';
const UPLOADS = '404 - Uploads are not part of Inlet. Host the image and link to it in the html.';
const GUARDIAN = '404 - There is no guardian. Use POST /email-messages/{id}/render to see what is sent.';

const SIX = {
  testApiKey: 'works',
  createContact: 'works',
  updateContact: 'works',
  findContact: 'works',
  deleteContact: 'works',
  createContactProperty: 'works',
  getCustomProperties: 'works',
  getMailingLists: 'works',
  sendEvent: 'works',
  sendTransactionalEmail: 'works',
  getTransactionalEmails: 'works',
};

const SEVEN = {
  testApiKey: 'works',
  createContact: 'works',
  updateContact: 'works',
  findContact: 'works',
  deleteContact: 'works',
  checkContactSuppression: 'works',
  removeContactSuppression: 'works',
  createContactProperty: 'works',
  listContactProperties: 'works',
  listMailingLists: 'works',
  sendEvent: 'works',
  sendTransactionalEmail: 'works',
  listTransactionalEmails: 'works',
  getTransactionalEmail: 'works',
  createTransactionalEmail: 'works',
  updateTransactionalEmail: 'works',
  ensureTransactionalEmailDraft: 'works',
  publishTransactionalEmail: 'works',
  listDedicatedSendingIps: 'works',
  getEmailMessage: 'works',
  updateEmailMessage: 'works',
  sendEmailMessagePreview: 'works',
  runEmailMessageGuardian: GUARDIAN,
  listEventPatterns: 'works',
  getEventPattern: 'works',
  getEventPatternByName: 'works',
  listWorkflows: 'works',
  createWorkflow: 'works',
  getWorkflow: 'works',
  updateWorkflow: 'works',
  deleteWorkflow: 'works',
  changeWorkflowMailingList: 'works',
  getWorkflowNode: 'works',
  createWorkflowNode: NO_NODES,
  updateWorkflowNode: NODES,
  deleteWorkflowNode: NODES,
  addWorkflowBranch: NO_NODES,
  rerouteWorkflowNode: NO_NODES,
  deleteWorkflowNodesRecursive: NO_NODES,
  listAudienceSegments: SEGMENTS,
  getAudienceSegment: SEGMENTS,
  createAudienceSegment: SEGMENTS,
  listThemes: THEMES,
  getTheme: THEMES,
  createTheme: THEMES,
  updateTheme: THEMES,
  listComponents: COMPONENTS,
  getComponent: COMPONENTS,
  createComponent: COMPONENTS,
  updateComponent: COMPONENTS,
  listCampaigns: CAMPAIGNS,
  getCampaign: CAMPAIGNS,
  createCampaign: CAMPAIGNS,
  updateCampaign: CAMPAIGNS,
  listCampaignGroups: GROUPS,
  getCampaignGroup: GROUPS,
  createCampaignGroup: GROUPS,
  updateCampaignGroup: GROUPS,
  listTransactionalGroups: GROUPS,
  getTransactionalGroup: GROUPS,
  createTransactionalGroup: GROUPS,
  updateTransactionalGroup: GROUPS,
  createUpload: UPLOADS,
  completeUpload: UPLOADS,
};

let app: TestApp;
let root = '';
/** Things that exist, for calls that name one. */
const have = { transactional: '', published: '', message: '', workflow: '', unused: '', pattern: '' };
const person = { email: 'ada@x.co' };
const revision = { expectedRevisionId: null };
const group = { name: 'g', description: 'd' };
const filter = { match: 'all' as const, conditions: [{ type: 'optIn' as const, status: null }] };

beforeAll(async () => {
  app = await TestApp.open({}, { port: 0 });
  root = `${(await app.app.start()).url}/api/`;
  const make = async (path: string, body: unknown = {}) => (await app.api('POST', path, body)).body;
  have.transactional = (await make('/transactional-emails', { name: 'draft' })).id;
  const { id, draftEmailMessageId } = await make('/transactional-emails', { name: 'published' });
  await make(`/email-messages/${draftEmailMessageId}`, { subject: 's', html: 'h' });
  await make(`/transactional-emails/${id}/publish`);
  have.published = id;
  have.message = (await make('/email-messages', { subject: 's', html: 'h' })).id;
  have.workflow = (await make('/workflows', { name: 'w' })).id;
  have.unused = (await make('/workflows', { name: 'unused' })).id;
  await make('/events/send', { ...person, eventName: 'paid' });
  have.pattern = (await app.api('GET', '/event-patterns')).body.data[0].id;
  await make('/contacts/create', { email: 'bounced@x.co' });
  await app.app.ctx.store.write(tx => suppress(tx, 'bounced@x.co', 'bounced', Date.now()));
});
afterAll(() => app.stop());

type Calls<Client, Names> = { [Name in keyof Names]: (client: Client) => Promise<unknown> };

const sixCalls: Calls<six.LoopsClient, typeof SIX> = {
  testApiKey: loops => loops.testApiKey(),
  createContact: loops => loops.createContact({ email: 'six@x.co' }),
  updateContact: loops => loops.updateContact(person),
  findContact: loops => loops.findContact(person),
  deleteContact: loops => loops.deleteContact({ email: 'six@x.co' }),
  createContactProperty: loops => loops.createContactProperty('six', 'string'),
  getCustomProperties: loops => loops.getCustomProperties(),
  getMailingLists: loops => loops.getMailingLists(),
  sendEvent: loops => loops.sendEvent({ ...person, eventName: 'paid' }),
  sendTransactionalEmail: loops => loops.sendTransactionalEmail({ ...person, transactionalId: have.published }),
  getTransactionalEmails: loops => loops.getTransactionalEmails(),
};

const offered = {
  testApiKey: loops => loops.testApiKey(),
  createContact: loops => loops.createContact({ email: 'seven@x.co' }),
  updateContact: loops => loops.updateContact(person),
  findContact: loops => loops.findContact(person),
  deleteContact: loops => loops.deleteContact({ email: 'seven@x.co' }),
  checkContactSuppression: loops => loops.checkContactSuppression(person),
  removeContactSuppression: loops => loops.removeContactSuppression({ email: 'bounced@x.co' }),
  createContactProperty: loops => loops.createContactProperty('seven', 'string'),
  listContactProperties: loops => loops.listContactProperties(),
  listMailingLists: loops => loops.listMailingLists(),
  sendEvent: loops => loops.sendEvent({ ...person, eventName: 'paid' }),
  sendTransactionalEmail: loops => loops.sendTransactionalEmail({ ...person, transactionalId: have.published }),
  listTransactionalEmails: loops => loops.listTransactionalEmails(),
  getTransactionalEmail: loops => loops.getTransactionalEmail(have.transactional),
  createTransactionalEmail: loops => loops.createTransactionalEmail({ name: 'n' }),
  updateTransactionalEmail: loops => loops.updateTransactionalEmail(have.transactional, { name: 'm' }),
  ensureTransactionalEmailDraft: loops => loops.ensureTransactionalEmailDraft(have.published),
  publishTransactionalEmail: loops => loops.publishTransactionalEmail(have.published),
  listDedicatedSendingIps: loops => loops.listDedicatedSendingIps(),
  getEmailMessage: loops => loops.getEmailMessage(have.message),
  updateEmailMessage: loops => loops.updateEmailMessage(have.message, { subject: 't' }),
  sendEmailMessagePreview: loops => loops.sendEmailMessagePreview(have.message, { emails: ['me@x.co'] }),
  listEventPatterns: loops => loops.listEventPatterns(),
  getEventPattern: loops => loops.getEventPattern(have.pattern),
  getEventPatternByName: loops => loops.getEventPatternByName('paid'),
  listWorkflows: loops => loops.listWorkflows(),
  createWorkflow: loops => loops.createWorkflow({ name: 'n' }),
  getWorkflow: loops => loops.getWorkflow(have.workflow),
  updateWorkflow: loops => loops.updateWorkflow(have.unused, { ...revision, name: 'm' }),
  deleteWorkflow: loops => loops.deleteWorkflow(have.unused, revision),
  changeWorkflowMailingList: loops =>
    loops.changeWorkflowMailingList(have.workflow, { ...revision, mailingListId: null, dryRun: true }),
  getWorkflowNode: loops => loops.getWorkflowNode(have.workflow, 'exit'),
} satisfies Partial<Calls<seven.LoopsClient, typeof SEVEN>>;

const missing = {
  runEmailMessageGuardian: loops => loops.runEmailMessageGuardian(have.message),
  createWorkflowNode: loops =>
    loops.createWorkflowNode(have.workflow, {
      ...revision,
      insertMode: 'after',
      nodeTypeName: 'TimerAction',
      fromNodeId: 'trigger',
    }),
  updateWorkflowNode: loops => loops.updateWorkflowNode(have.workflow, 'exit', { ...revision, payload: { amount: 1 } }),
  deleteWorkflowNode: loops => loops.deleteWorkflowNode(have.workflow, 'exit', revision),
  addWorkflowBranch: loops => loops.addWorkflowBranch(have.workflow, 'exit', revision),
  rerouteWorkflowNode: loops =>
    loops.rerouteWorkflowNode(have.workflow, 'trigger', { ...revision, newTargetNodeId: 'exit' }),
  deleteWorkflowNodesRecursive: loops => loops.deleteWorkflowNodesRecursive(have.workflow, 'exit', revision),
  listAudienceSegments: loops => loops.listAudienceSegments(),
  getAudienceSegment: loops => loops.getAudienceSegment('s'),
  createAudienceSegment: loops => loops.createAudienceSegment({ name: 's', filter }),
  listThemes: loops => loops.listThemes(),
  getTheme: loops => loops.getTheme('t'),
  createTheme: loops => loops.createTheme({ name: 't' }),
  updateTheme: loops => loops.updateTheme('t', { name: 'u' }),
  listComponents: loops => loops.listComponents(),
  getComponent: loops => loops.getComponent('c'),
  createComponent: loops => loops.createComponent({ name: 'c', lmx: '<Text>c</Text>' }),
  updateComponent: loops => loops.updateComponent('c', { name: 'd' }),
  listCampaigns: loops => loops.listCampaigns(),
  getCampaign: loops => loops.getCampaign('c'),
  createCampaign: loops => loops.createCampaign({ name: 'c' }),
  updateCampaign: loops => loops.updateCampaign('c', { name: 'd' }),
  listCampaignGroups: loops => loops.listCampaignGroups(),
  getCampaignGroup: loops => loops.getCampaignGroup('g'),
  createCampaignGroup: loops => loops.createCampaignGroup(group),
  updateCampaignGroup: loops => loops.updateCampaignGroup('g', group),
  listTransactionalGroups: loops => loops.listTransactionalGroups(),
  getTransactionalGroup: loops => loops.getTransactionalGroup('g'),
  createTransactionalGroup: loops => loops.createTransactionalGroup(group),
  updateTransactionalGroup: loops => loops.updateTransactionalGroup('g', group),
  createUpload: loops => loops.createUpload({ contentType: 'image/png', contentLength: 10 }),
  completeUpload: loops => loops.completeUpload('u'),
} satisfies Partial<Calls<seven.LoopsClient, typeof SEVEN>>;

/** What became of each call, one after the other. */
async function outcomes<Client>(client: Client, calls: Record<string, (client: Client) => Promise<unknown>>) {
  const found: Record<string, string> = {};
  for (const [name, call] of Object.entries(calls))
    found[name] = await call(client).then(
      () => 'works',
      (error: Error & { json?: unknown }) => {
        expect([name, error.json]).toEqual([name, { success: false, message: expect.any(String) }]);
        return error.message;
      },
    );
  return found;
}

const methodsOf = (Client: { prototype: object }) =>
  Object.getOwnPropertyNames(Client.prototype).filter(name => !/^(constructor|_.*)$/.test(name));

test('loops@7.3.0: every method works or is refused with what to do instead', async () => {
  const client = Object.assign(new seven.LoopsClient(API_KEY), { apiRoot: root });
  expect(methodsOf(seven.LoopsClient).sort()).toEqual(Object.keys(SEVEN).sort());
  expect(await outcomes(client, { ...offered, ...missing })).toEqual(SEVEN);
});

test('loops@6.2.1: every method works', async () => {
  const client = Object.assign(new six.LoopsClient(API_KEY), { apiRoot: root });
  expect(methodsOf(six.LoopsClient).sort()).toEqual(Object.keys(SIX).sort());
  expect(await outcomes(client, sixCalls)).toEqual(SIX);
});

test('what other clients ask for beyond that: metrics; any other path stays a plain 404', async () => {
  const message = async (path: string) => (await app.api('GET', path)).body.message;
  expect(await message(`/workflows/${have.workflow}/nodes/exit/metrics`)).toContain('GET /workflows/{id}/counts');
  expect(await message(`/transactional-emails/${have.published}/metrics`)).toContain('GET /mails');
  expect(await message('/campaigns/c/metrics')).toContain('Campaigns are not part of Inlet');
  for (const path of ['/themesong', '/uploads-of-mine', '/workflows/x/nodesy', '/nowhere'])
    expect(await message(path)).toBe('No such path. /swagger lists them all.');
});
