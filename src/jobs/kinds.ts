import { importStep } from '../audience/import/step.ts';
import { MERGE_JOB } from '../audience/merges.ts';
import { RELEASE_JOB, releaseStep } from '../audience/releases.ts';
import { RETYPE_JOB, retypeStep } from '../audience/retype.ts';
import type { Context } from '../context.ts';
import type { Tx } from '../db/store.ts';
import { ERASE_JOB, eraseStep } from '../history/eraseJob.ts';
import { mergeStep } from '../history/merge.ts';
import { clearUnappliedStep, EMPTY_JOB } from '../history/unappliedBodies.ts';
import { replayJob } from '../inbound/deliveries.ts';
import { HOLD_QUEUED_JOB, holdQueued, RELEASE_HELD_JOB, releaseHeld, releasing } from '../inbound/pause.ts';
import { type EndRuns, endSome, mergeRuns, releaseSome } from '../workflows/runs.ts';

/** What one step of a job writes, in the transaction that also ends it. Gives the next step's payload, or null when done. */
type Step = (tx: Tx) => Promise<unknown>;

const readEndpoint = (payload: unknown) => (payload as { endpointId: string }).endpointId; // written by endpoints.ts only

/** Job kind → the step to write, after whatever it had to read or fetch. */
export const kinds: Record<string, (ctx: Context, payload: unknown, now: number) => Promise<Step>> = {
  'deliveries.replay': ({ store }, payload) => replayJob(store, payload),
  [RELEASE_JOB]: async (_, payload, now) => tx => releaseStep(tx, payload, now),
  'contacts.import': importStep,
  [HOLD_QUEUED_JOB]: async (_, payload) => async tx => ((await holdQueued(tx, readEndpoint(payload))) ? payload : null),
  [RELEASE_HELD_JOB]: async ({ people }, payload) => {
    await people.write(releasing, readEndpoint(payload));
    return async tx => ((await releaseHeld(tx, readEndpoint(payload))) ? payload : null);
  },
  [ERASE_JOB]: eraseStep,
  [EMPTY_JOB]: ({ store }, payload) => clearUnappliedStep(store, payload),
  [MERGE_JOB]: async (_, payload) => tx => mergeStep(tx, payload, mergeRuns),
  [RETYPE_JOB]: retypeStep,
  'workflows.end': async (_, payload) => tx => endSome(tx, payload as EndRuns),
  'workflows.release': async (_, payload, now) => tx => releaseSome(tx, payload as { workflowId: string }, now),
};
