import { HOUR_MS, MINUTE_MS } from '../time.ts';

/** Waits between tries of a mail that may yet be taken: 13 of them, 48.4 hours in all before jitter, which only adds. */
const WAITS_MS = [
  ...[MINUTE_MS / 2, 2 * MINUTE_MS, 5 * MINUTE_MS, 15 * MINUTE_MS, 30 * MINUTE_MS],
  ...[HOUR_MS, 2 * HOUR_MS, 4 * HOUR_MS, 6 * HOUR_MS, 8 * HOUR_MS, 8 * HOUR_MS, 9 * HOUR_MS, 9.5 * HOUR_MS],
];
const JITTER = 0.1; // of the wait, added
export const LONGEST_WAIT_MS = (1 + JITTER) * 9.5 * HOUR_MS;

/** When to try again after the `failures`-th failure, or null after the last. `random` from 0 to 1. */
export function scheduleNextTry(failures: number, now: number, random: number): number | null {
  const wait = WAITS_MS[failures - 1];
  return wait === undefined ? null : Math.round(now + wait * (1 + JITTER * random));
}
