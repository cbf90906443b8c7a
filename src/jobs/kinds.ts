import type { Store, Tx } from '../db/store.ts';
import { replayJob } from '../inbound/deliveries.ts';
import { type EndRuns, endSome, releaseSome } from '../workflows/runs.ts';

/** What one step of a job writes, in the transaction that also ends it. Gives the next step's payload, or null when done. */
export type Step = (tx: Tx) => Promise<unknown>;

/** Job kind → the step to write, after whatever it had to read or fetch. */
export const kinds: Record<string, (store: Store, payload: unknown) => Promise<Step>> = {
  'deliveries.replay': replayJob,
  'workflows.end': async (_, payload) => tx => endSome(tx, payload as EndRuns),
  'workflows.release': async (_, payload) => tx => releaseSome(tx, payload as { workflowId: string }),
};
