import { z } from 'zod';
import type { Scalar } from '../db/schema.ts';
import { audienceFilter, type Person, passes } from './conditions.ts';

/** An event that a run waits for, or that ends it. In the filter `eventProperty` is of that event. */
export const expectedEvent = z.strictObject({
  eventName: z.string().min(1).max(100),
  filter: audienceFilter.nullish(),
});
export type Expected = z.output<typeof expectedEvent>;

/** An event that a contact had since its run began. */
export interface Heard {
  id: string;
  eventName: string;
  properties: Record<string, Scalar>;
}

export function matchesEvent({ eventName, filter }: Expected, event: Heard, person: Person): boolean {
  if (event.eventName !== eventName) return false;
  return !filter || passes({ ...person, eventProperties: event.properties }, filter);
}

/** Why a run ended by `exitOn`. */
export function describeEnd(eventName: string): string {
  return `the event ${eventName} ended it`;
}

/** What a run has seen of what happens outside of it. */
export interface Seen {
  /** The oldest first. */
  events: Heard[];
  /** When the wait began at which it stands, ms since 1970. */
  waitingSince: number | null;
}
export const NOTHING_SEEN: Seen = { events: [], waitingSince: null };
