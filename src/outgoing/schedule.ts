import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from '../time.ts';

/** Waits between attempts: 12 of them, 75.7 hours in all before jitter, which only adds. */
export const WAITS_MS = [
  ...[5 * SECOND_MS, 30 * SECOND_MS],
  ...[2 * MINUTE_MS, 10 * MINUTE_MS, 30 * MINUTE_MS],
  ...[HOUR_MS, 2 * HOUR_MS, 4 * HOUR_MS, 8 * HOUR_MS, 12 * HOUR_MS, DAY_MS, DAY_MS],
];
const JITTER = 0.1; // of the wait, added
const LONGEST_RETRY_AFTER_MS = DAY_MS;
export const LONGEST_WAIT_MS = (1 + JITTER) * DAY_MS;
/** Failures without one success for this long pause a subscription. */
export const FAILING_MS = 5 * DAY_MS;

/** What a `Retry-After` header asks for, in ms from `now`, at most a day; 0 when it says nothing we understand. */
function retryAfterMs(header: string | null, now: number): number {
  if (header === null) return 0;
  const text = header.trim();
  const ms = /^\d{1,10}$/.test(text) ? Number(text) * SECOND_MS : Date.parse(text) - now;
  return Number.isNaN(ms) ? 0 : Math.min(Math.max(0, ms), LONGEST_RETRY_AFTER_MS);
}

/** When to try again after the `tries`-th failure, or null after the last. `random` from 0 to 1. */
export function scheduleNextAttempt(
  tries: number,
  retryAfter: string | null,
  now: number,
  random: number,
): number | null {
  const wait = WAITS_MS[tries - 1];
  if (wait === undefined) return null;
  return Math.round(now + Math.max(wait, retryAfterMs(retryAfter, now)) * (1 + JITTER * random));
}
