import type { Tx } from '../db/store.ts';
import { replayJob } from '../inbound/deliveries.ts';

/** One step of a job: what to write in the transaction that also finishes it. Returns the next step's payload, or null when done. */
export type Step = (tx: Tx, now: number) => Promise<unknown>;

/** Job kind → from its payload, after any I/O, to the step. */
export const kinds: Record<string, (payload: unknown) => Promise<Step>> = {
  'deliveries.replay': async payload => replayJob(payload),
};
