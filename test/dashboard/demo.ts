import type { openDashboard } from '../support/dashboard.ts';

type Told = Awaited<ReturnType<typeof openDashboard>>;

const PEOPLE = ['Ada Lovelace', 'Grace Hopper', 'Edsger Dijkstra', 'Barbara Liskov', 'Donald Knuth', 'Radia Perlman'];
const SECRET = 'whsec_0123456789abcdef0123456789abcdef';

/** Puts something of everything into an empty Inlet. Gives the paths of the screens that are worth a look, by name. */
export async function fillDemo({ api }: Pick<Told, 'api'>): Promise<Record<string, string>> {
  const list = await api('POST', '/lists', { name: 'Product news', description: 'Once a month', isPublic: true });
  await api('POST', '/contacts/properties', { name: 'plan', type: 'string' });
  const stripe = await api('POST', '/endpoints', { provider: 'stripe', name: 'Production', secret: SECRET });
  await api('POST', '/endpoints', { provider: 'clerk', name: 'Sign-ups' });
  await api('PATCH', `/endpoints/${stripe.id}`, {
    events: {
      'customer.created': { userGroup: 'Customers', mailingLists: [list.id], triggerEvent: 'signup' },
      'invoice.paid': { triggerEvent: 'paid' },
    },
  });
  const message = await api('POST', '/email-messages', {
    subject: 'Welcome to Acme, {{ contact.firstName }}',
    previewText: 'Three things to try first',
    html: MAIL,
    contactPropertiesFallbacks: { firstName: 'there' },
  });
  const workflow = await makeWorkflow(api, message.id);
  for (const name of PEOPLE) {
    const email = `${name.toLowerCase().replace(' ', '.')}@example.com`;
    await api('POST', `/endpoints/${stripe.id}/test`, { type: 'customer.created', email });
    const [firstName, lastName] = name.split(' ');
    await api('PUT', '/contacts/update', { email, firstName, lastName, plan: name.length % 2 ? 'pro' : 'free' });
  }
  await api('POST', `/endpoints/${stripe.id}/test`, { type: 'customer.updated', email: 'ada.lovelace@example.com' });
  const receipt = await api('POST', '/transactional-emails', { name: 'Receipt' });
  await api('POST', `/email-messages/${receipt.draftEmailMessageId}`, {
    subject: 'Your receipt {{ data.number }}',
    html: MAIL,
  });
  await api('POST', `/transactional-emails/${receipt.id}/publish`);
  await api('POST', '/transactional', {
    ...{ transactionalId: receipt.id, email: 'ada.lovelace@example.com' },
    dataVariables: { number: 'R-1042' },
  });
  await until(async () => (await api('GET', '/mails?state=sent')).data.length >= 4);
  const [mail] = (await api('GET', '/mails?state=sent')).data;
  const [delivery] = (await api('GET', '/deliveries?type=customer.created')).data;
  const [contact] = (await api('GET', '/contacts?q=ada')).data;
  const [run] = (await api('GET', `/workflows/${workflow}/runs`)).data;
  return {
    ...{ overview: '/overview' },
    ...{ endpoints: '/endpoints', endpoint: `/endpoints/${stripe.id}`, deliveries: '/deliveries' },
    ...{ delivery: `/deliveries/${delivery.id}`, contacts: '/contacts', contact: `/contacts/${contact.id}` },
    ...{ mails: '/mails', mail: `/mails/${mail.id}`, suppressions: '/suppressions?email=ada.lovelace@example.com' },
    ...{ messages: '/messages', message: `/messages/${message.id}`, transactional: `/transactional/${receipt.id}` },
    ...{ workflows: '/workflows', workflow: `/workflows/${workflow}`, run: `/runs/${run.id}` },
    ...{ lists: '/settings/lists', keys: '/settings/keys', audit: '/settings/audit', server: '/settings/server' },
  };
}

async function until(done: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (await done()) return;
    await Bun.sleep(50);
  }
  throw new Error('It did not happen in time.');
}

async function makeWorkflow(api: Told['api'], emailMessageId: string): Promise<string> {
  const { id } = await api('POST', '/workflows', { name: 'Welcome', description: 'A greeting, and a nudge to pay' });
  const plan = (value: string) => ({
    match: 'all',
    conditions: [{ type: 'property', key: 'plan', operator: 'equals', value }],
  });
  await api('PUT', `/workflows/${id}/graph`, {
    rootNodeId: 'start',
    nodes: {
      start: { typeName: 'EventTrigger', eventName: 'signup', reEligible: false, nextNodeIds: ['greet'] },
      greet: { typeName: 'SendEmailAction', emailMessageId, nextNodeIds: ['pays'] },
      pays: {
        ...{ typeName: 'WaitForEventAction', eventName: 'paid', timeout: { amount: 3, unit: 'd' } },
        nextNodeIds: ['done', 'which'],
      },
      done: { typeName: 'ExitAction', nextNodeIds: [] },
      which: { typeName: 'BranchNode', nextNodeIds: ['pro', 'free'] },
      pro: { typeName: 'AudienceFilter', audienceFilter: plan('pro'), nextNodeIds: ['nudge'] },
      nudge: { typeName: 'SendEmailAction', emailMessageId, nextNodeIds: ['end'] },
      free: { typeName: 'AudienceFilter', audienceFilter: plan('free'), nextNodeIds: ['end'] },
      end: { typeName: 'ExitAction', nextNodeIds: [] },
    },
  });
  await api('POST', `/workflows/${id}/start`);
  return id;
}

const MAIL = `<div style="max-width: 32rem; margin: 2rem auto; font: 16px/1.5 sans-serif">
  <h1 style="color: #0b5cad">Good to have you</h1>
  <p>Hello {{ contact.firstName | default: "there" }}, here is what to try first:</p>
  <ul>
    <li>Connect your shop</li>
    <li>Invite a colleague</li>
    <li>Look at the first report</li>
  </ul>
  <p><a href="{{ unsubscribeUrl }}">Unsubscribe</a></p>
</div>
`;
