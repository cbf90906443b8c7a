import { callApi, type List, type Page } from '../api.ts';
import type { Names } from './nodeTypes.ts';

type Choice = [value: string, text: string];

/** What the fields of nodes can be chosen from. */
export interface Choices extends Names {
  lists: Map<string, string>;
  properties: Choice[];
  /** Types of the properties, by key. */
  types: Map<string, string>;
  messages: Map<string, string>;
  /** Names of events that are known, to be offered. */
  events: string[];
}

interface Property {
  key: string;
  label: string;
  type: string;
}
interface Message {
  id: string;
  subject: string;
  transactionalId: string | null;
}
interface Pattern {
  eventName: string;
}

/** Looks up lists, properties, messages and names of events, the newest 100 of each that comes in pages. */
export async function loadChoices(): Promise<Choices> {
  const [lists, properties, messages, events] = await Promise.all([
    callApi<List[]>('GET', '/lists'),
    callApi<Property[]>('GET', '/contacts/properties'),
    callApi<Page<Message>>('GET', '/email-messages?perPage=100'),
    callApi<Page<Pattern>>('GET', '/event-patterns?perPage=50'),
  ]);
  return {
    lists: new Map(lists.map(each => [each.id, each.name])),
    properties: properties.map(each => [each.key, each.label || each.key]),
    types: new Map(properties.map(each => [each.key, each.type])),
    messages: new Map(
      messages.data
        .filter(each => each.transactionalId === null)
        .map(each => [each.id, each.subject || 'without a subject']),
    ),
    events: events.data.map(each => each.eventName),
  };
}
