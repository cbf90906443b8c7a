import type { Cause, ContactChange } from '../changes.ts';
import type { Effect } from '../db/schema.ts';
import type { Store, Tx } from '../db/store.ts';
import { type Listening, listListening } from './listening.ts';
import { findEntry, isExclusive } from './nodes/index.ts';
import { mergeRuns } from './runs.ts';
import { tellRuns } from './signals.ts';
import { startRun } from './start.ts';
import { QUEUEING_MS } from './workflows.ts';

const CHECK_EVERY_MS = 500; // another process's change is seen within a second

/** Hears what happens to contacts and starts the runs that follow. Costs nothing while no workflow listens. */
export class TriggerMatcher {
  private cached: Listening[] = [];
  private version = -1;
  private checkedAt = -Infinity;
  private stale = true;
  private changes = 0;

  constructor(
    private readonly store: Store,
    private readonly wake: () => void,
  ) {}

  /** After a change of our own. */
  invalidate(): void {
    this.stale = true;
    this.changes++;
  }

  readonly hear = async (tx: Tx, happenings: ContactChange[], cause: Cause, now: number): Promise<Effect[]> => {
    for (const each of happenings) if (each.kind === 'contact.merged') await mergeRuns(tx, each.from, each.contact.id);
    const workflows = await this.listening(tx);
    if (!workflows.length) return [];
    const effects: Effect[] = [];
    let isDue = false;
    for (const workflow of workflows) {
      for (const each of happenings)
        if (each.kind === 'event' && workflow.listens.includes(each.eventName))
          isDue = (await tellRuns(tx, workflow.id, each, now)) || isDue;
      const { state, pausedAt } = workflow;
      if (state === 'paused' && now >= (pausedAt ?? 0) + QUEUEING_MS) continue;
      for (const happening of happenings) {
        const entry = findEntry(workflow.trigger, happening, cause);
        if (entry === null) continue;
        const { id: workflowId, rootNodeId } = workflow;
        const event =
          happening.kind === 'event' ? { id: happening.eventId, properties: happening.eventProperties } : null;
        const once = { entry, isExclusive: isExclusive(workflow.trigger) };
        const start = { workflowId, rootNodeId, contact: happening.contact, ...once, event };
        const effect = await startRun(tx, start, cause, now);
        if (effect) effects.push(effect);
      }
    }
    if (effects.length || isDue) this.wake();
    return effects;
  };

  private async listening(tx: Tx): Promise<Listening[]> {
    const at = performance.now();
    if (at - this.checkedAt > CHECK_EVERY_MS) {
      this.checkedAt = at;
      const version = await this.store.version();
      if (version !== this.version) this.stale = true;
      this.version = version;
    }
    if (this.stale) {
      const { changes } = this;
      const found = await listListening(tx); // may throw: then it is read again
      if (changes === this.changes) this.stale = false; // not when something changed meanwhile
      this.cached = found;
    }
    return this.cached;
  }
}
