import type { Node } from './graph.ts';

/** A field of a node, and how it is asked for. */
export type Field =
  | {
      kind: 'event' | 'eventProperty' | 'property' | 'dateProperty' | 'list' | 'message';
      name: string;
      label: string;
      hint?: string;
    }
  | { kind: 'number'; name: string; label: string; hint?: string }
  | { kind: 'check'; name: string; label: string; hint?: string }
  | { kind: 'choice'; name: string; label: string; options: [string, string][] }
  | { kind: 'duration' | 'offset'; name: string | null; label: string; hint?: string }
  | { kind: 'filter' | 'query' | 'values'; name: string; label: string; hint?: string };

/** Names by id of what nodes point to. */
export interface Names {
  lists: Map<string, string>;
  messages: Map<string, string>;
}

interface NodeType {
  title: string;
  what: string;
  fields: Field[];
  /** What a new one holds. */
  fresh: Record<string, unknown>;
  /** What it does, in a few words. */
  summarize(node: Node, names: Names): string;
  /** What its ways are called, by their place. */
  ways?: string[];
}

const REPEAT: Field = {
  kind: 'check',
  name: 'reEligible',
  label: 'Again each time it happens',
  hint: 'Off: once in a contact’s life.',
};
const UNITS: Record<string, string> = { m: 'minutes', h: 'hours', d: 'days' };
const say = (value: unknown): string =>
  value === null || value === undefined || value === '' ? 'not chosen yet' : String(value);

interface Duration {
  amount?: number;
  unit?: string;
}
const sayDuration = ({ amount, unit }: Duration): string => `${amount ?? 0} ${UNITS[unit ?? 'd']}`;

interface Filter {
  match?: string;
  conditions?: { type?: string; key?: string; operator?: string; value?: unknown; listId?: string; negate?: boolean }[];
}

/** A filter in words: `plan equals pro and on the list News`. */
function sayFilter(given: unknown, names: Names): string {
  const { match = 'all', conditions = [] } = (given ?? {}) as Filter;
  if (!conditions.length) return 'not set yet';
  return conditions
    .map(({ type, key, operator = '', value, listId = '', negate }) =>
      type === 'list'
        ? `${negate ? 'not ' : ''}on ${names.lists.get(listId) ?? listId}`
        : [
            key,
            operator.replace(/[A-Z]/g, big => ` ${big.toLowerCase()}`),
            value === undefined ? '' : JSON.stringify(value),
          ].join(' '),
    )
    .join(match === 'all' ? ' and ' : ' or ');
}

export const TRIGGERS: Record<string, NodeType> = {
  BlankTrigger: {
    title: 'No trigger yet',
    what: 'Choose what starts the workflow.',
    fields: [],
    fresh: {},
    summarize: () => 'choose what starts it',
  },
  SignupTrigger: {
    title: 'Contact was made',
    what: 'Starts for each new contact.',
    fields: [],
    fresh: {},
    summarize: () => 'for each new contact',
  },
  EventTrigger: {
    title: 'Event',
    what: 'Starts when an event of this name is received.',
    fields: [{ kind: 'event', name: 'eventName', label: 'Name of the event' }, REPEAT],
    fresh: { eventName: null, reEligible: true },
    summarize: node => say(node.eventName),
  },
  ContactPropertyTrigger: {
    title: 'Property changed',
    what: 'Starts when a property of a contact changes so.',
    fields: [{ kind: 'query', name: 'contactPropertyQuery', label: 'Which change' }, REPEAT],
    fresh: { contactPropertyQuery: null, reEligible: true },
    summarize: node => say((node.contactPropertyQuery as { key?: string } | null)?.key),
  },
  AddToListTrigger: {
    title: 'Added to a list',
    what: 'Starts when a contact is added to a list.',
    fields: [{ kind: 'list', name: 'mailingListId', label: 'List' }, REPEAT],
    fresh: { mailingListId: null, reEligible: false },
    summarize: (node, { lists }) => say(lists.get(String(node.mailingListId)) ?? node.mailingListId),
  },
};

export const STEPS: Record<string, NodeType> = {
  SendEmailAction: {
    title: 'Send a mail',
    what: 'Sends a message to the contact.',
    fields: [{ kind: 'message', name: 'emailMessageId', label: 'Message' }],
    fresh: { emailMessageId: null },
    summarize: (node, { messages }) => say(messages.get(String(node.emailMessageId)) ?? node.emailMessageId),
  },
  TimerAction: {
    title: 'Wait',
    what: 'Waits minutes, hours or days.',
    fields: [{ kind: 'duration', name: null, label: 'How long' }],
    fresh: { amount: 1, unit: 'd' },
    summarize: node => sayDuration(node as Duration),
  },
  WaitForEventAction: {
    title: 'Wait for an event',
    what: 'Waits until the event comes, or the time is over. It has two ways.',
    fields: [
      { kind: 'event', name: 'eventName', label: 'Name of the event' },
      { kind: 'duration', name: 'timeout', label: 'At the longest' },
      { kind: 'filter', name: 'filter', label: 'Only such events' },
    ],
    fresh: { eventName: 'paid', timeout: { amount: 3, unit: 'd' } },
    summarize: node => `${say(node.eventName)}, ${sayDuration((node.timeout ?? {}) as Duration)} at most`,
    ways: ['it came', 'in vain'],
  },
  WaitUntilAction: {
    title: 'Wait for a date',
    what: 'Waits for the date in a property of the contact or of the event.',
    fields: [
      { kind: 'dateProperty', name: 'property', label: 'Property of the contact' },
      { kind: 'eventProperty', name: 'eventProperty', label: 'or property of the event' },
      { kind: 'offset', name: 'offset', label: 'Before (negative) or after it' },
    ],
    fresh: { eventProperty: 'date', offset: { amount: 0, unit: 'd' } },
    summarize: node =>
      `${sayDuration((node.offset ?? {}) as Duration)} from ${say(node.property ?? node.eventProperty)}`,
  },
  AudienceFilter: {
    title: 'Filter',
    what: 'Who does not pass leaves.',
    fields: [
      { kind: 'filter', name: 'audienceFilter', label: 'Who passes' },
      {
        kind: 'check',
        name: 'appliesDownstream',
        label: 'Ask again at every node that follows',
        hint: 'So that who no longer passes leaves there.',
      },
    ],
    fresh: { audienceFilter: null, appliesDownstream: false },
    summarize: (node, names) => sayFilter(node.audienceFilter, names),
  },
  BranchNode: {
    title: 'Branch',
    what: 'The first filter below that lets the contact pass is the way.',
    fields: [],
    fresh: {},
    summarize: node => `${node.nextNodeIds.length} ways, the first that fits`,
  },
  UpdateContactAction: {
    title: 'Change the contact',
    what: 'Sets properties of the contact. Consent is never changed.',
    fields: [
      {
        kind: 'values',
        name: 'set',
        label: 'Properties',
        hint: 'A value may hold {{ event.name }} and {{ contact.name }}.',
      },
    ],
    fresh: { set: { userGroup: '' } },
    summarize: node => Object.keys((node.set ?? {}) as object).join(', '),
  },
  ListAction: {
    title: 'Join or leave a list',
    what: 'Puts the contact on a list, or takes it off. Whoever left it is not put back.',
    fields: [
      { kind: 'list', name: 'mailingListId', label: 'List' },
      {
        kind: 'choice',
        name: 'action',
        label: 'What to do',
        options: [
          ['join', 'put on the list'],
          ['leave', 'take off the list'],
        ],
      },
    ],
    fresh: { mailingListId: null, action: 'join' },
    summarize: (node, { lists }) =>
      `${say(node.action)} ${say(lists.get(String(node.mailingListId)) ?? node.mailingListId)}`,
  },
  ExitAction: {
    title: 'End',
    what: 'The end of a way: what follows on it goes.',
    fields: [],
    fresh: {},
    summarize: () => '',
  },
};

/** Of a type that this page does not know only the name is shown. */
export function findNodeType(typeName: string): NodeType {
  const known = { ...TRIGGERS, ...STEPS }[typeName];
  return known ?? { title: typeName, what: '', fields: [], fresh: {}, summarize: () => '' };
}
