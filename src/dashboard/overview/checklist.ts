import type { Endpoint } from '../api.ts';

export interface Known {
  endpoints: Pick<Endpoint, 'id' | 'state' | 'events'>[];
  workflows: { state: string }[];
  mail: { smtp: boolean; trouble: string | null; queued: number; held: number };
}
interface Step {
  text: string;
  isDone: boolean;
  /** Where it is done. */
  path: string[];
  hint: string | null;
}

/** What is to be done from an empty Inlet to the first mail, in order. */
export function listSteps({ endpoints, workflows, mail }: Known): Step[] {
  const [first] = endpoints;
  const own = first ? ['endpoints', first.id] : ['endpoints', 'add'];
  const isUsed = endpoints.some(({ events }) =>
    Object.values(events).some(each => each.userGroup || each.mailingLists.length || each.triggerEvent),
  );
  return [
    {
      ...{ text: 'Add an endpoint for your provider', isDone: endpoints.length > 0, path: ['endpoints', 'add'] },
      hint: 'It is the address that Stripe, Clerk, Supabase or Polar sends its webhooks to.',
    },
    {
      ...{ text: 'Connect it, until its first webhook comes', path: own },
      isDone: endpoints.some(each => each.state === 'live' || each.state === 'paused'),
      hint: 'Paste its URL at the provider, and the provider’s secret here. A test event shows that it works.',
    },
    {
      ...{ text: 'Say what its events do', isDone: isUsed, path: own },
      hint: 'A group, a list, or an event that workflows listen to.',
    },
    {
      ...{ text: 'Give Inlet a mail server', isDone: mail.smtp, path: ['settings', 'server'] },
      hint: 'Start it with INLET_SMTP_URL and INLET_MAIL_FROM. Without one nothing is mailed, and nothing is lost.',
    },
    {
      ...{ text: 'Start a workflow', path: ['workflows', 'add'] },
      isDone: workflows.some(each => each.state === 'running' || each.state === 'paused'),
      hint: 'It mails each contact to whom something happens. Begin with a recipe.',
    },
  ];
}
