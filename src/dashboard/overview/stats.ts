/** What goes on, as `GET /stats` tells it. */
export interface Stats {
  since: string;
  until: string;
  resolution: 'minute' | 'hour';
  slots: Slot[];
  totals: Counts;
  waiting: Record<'oldestQueued' | 'oldestFailed' | 'oldestWaiting', { id: string; receivedAt: string } | null> & {
    backlog: number;
  };
  contacts: { total: number; subscribed: number | null; isExact: boolean; asOf: string | null };
  mails: Record<
    'queued' | 'held' | 'sending' | 'failed' | 'bounced' | 'suppressed',
    { count: number; isCapped: boolean }
  >;
  attention: { id: string; name: string; provider: string; state: string; nextStep: string }[];
  setup: { done: boolean; steps: { name: string; done: boolean; sentence: string }[] };
}

interface Counts {
  accepted: number;
  duplicate: number;
  ignored: number;
  rejected: number;
  refused: number;
  p50Ms: number | null;
  p99Ms: number | null;
  mailsSent: number;
  mailsFailed: number;
}
type Slot = Counts & { at: string };

export const OUTCOMES = ['accepted', 'duplicate', 'ignored', 'rejected', 'refused'] as const;
type Outcome = (typeof OUTCOMES)[number];
/** Several slots put together. */
export type Bar = Record<Outcome, number> & { at: string; p99Ms: number | null };

/** Slots put together until at most `most` bars are left, oldest first. The slowest answer time of each stays. */
export function gatherBars(slots: Slot[], most: number): Bar[] {
  const size = Math.max(1, Math.ceil(slots.length / most));
  const bars: Bar[] = [];
  for (let from = 0; from < slots.length; from += size) {
    const part = slots.slice(from, from + size);
    const sum = (outcome: Outcome) => part.reduce((total, slot) => total + slot[outcome], 0);
    const slowest = part.flatMap(slot => (slot.p99Ms === null ? [] : [slot.p99Ms]));
    bars.push({
      at: part[0]?.at ?? '',
      ...{ accepted: sum('accepted'), duplicate: sum('duplicate'), ignored: sum('ignored') },
      ...{ rejected: sum('rejected'), refused: sum('refused') },
      p99Ms: slowest.length ? Math.max(...slowest) : null,
    });
  }
  return bars;
}
