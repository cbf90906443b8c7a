import { EFFECTS } from '../../effects.ts';
import type { Delivery } from '../api.ts';

type Effect = Delivery['effects'][number];

const TEXTS: Record<string, string> = EFFECTS;

/** What a delivery did, as a sentence; details that are names or reasons stand behind it. */
export function describeEffect({ kind, ...detail }: Effect): string {
  const { eventName, property, reason, listId, workflowId, mailId, changed } = detail;
  const names = [eventName, property, listId, workflowId, mailId, Array.isArray(changed) ? changed.join(', ') : null];
  const said = [...names, reason].filter(each => typeof each === 'string' && each !== '');
  return [TEXTS[kind] ?? kind, ...said].join(' · ');
}
