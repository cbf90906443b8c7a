export const SECOND_MS = 1000;
export const MINUTE_MS = 60_000;
export const HOUR_MS = 3_600_000;
export const DAY_MS = 86_400_000;

/** ISO 8601 in UTC of ms since 1970; null and undefined stay. */
export function formatTime(ms: number): string;
export function formatTime(ms: number | null): string | null;
export function formatTime(ms: number | undefined): string | undefined;
export function formatTime(ms: number | null | undefined): string | null | undefined {
  return typeof ms === 'number' ? new Date(ms).toISOString() : ms;
}

/** Lets requests that are there already go first. */
export const yieldTurn = (): Promise<void> => new Promise(resolve => setImmediate(resolve));
