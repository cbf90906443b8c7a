import { AsyncLocalStorage } from 'node:async_hooks';
import type { Cause, ContactChange, Listener } from '../changes.ts';
import type { Effect } from '../db/schema.ts';
import { type Store, StoreUnavailable, type Tx } from '../db/store.ts';
import { AppError } from '../errors.ts';
import { insertEvents, type NewEvent } from '../events.ts';
import { insertContactChanges, noteFormerContacts } from './contactChanges.ts';
import { DefinitionsCache } from './definitions.ts';
import { noteMerges } from './merges.ts';
import type { People } from './people.ts';
import { releaseWaiting } from './releases.ts';
import { requireSalt } from './tombstones.ts';
import { type Keys, loadPeople, savePeople } from './workingSet.ts';

const MAX_BATCH = 64; // writes that share a transaction

/** What one write did, for those who follow it and for its own rows. */
export interface Outcome {
  /** What the write is answered with. */
  result: unknown;
  changes: ContactChange[];
  cause: Cause;
  events: NewEvent[];
  /** Identities whose waiting deliveries are due. */
  known: string[];
  /** What listeners did about it is added here before `save`. */
  effects: Effect[];
}

/** A kind of write about people: webhooks, API calls, import rows, … `C` holds the caller's own rows of a batch. */
export interface WriteKind<W, C> {
  /** Reads the caller's own rows for all writes of a batch. */
  load(tx: Tx, writes: W[], salt: string): Promise<C>;
  /** Whom a write is about; null: nobody, `apply` needs no people. */
  keys(write: W, context: C): (Keys & { lists?: string[] }) | null;
  /** Synchronous and without effects but on `people` and `context`; it may run again. @throws AppError when the write is refused */
  apply(people: People, write: W, context: C, now: number): Outcome | null;
  /** Writes the caller's own rows. */
  save(tx: Tx, context: C, now: number): Promise<void>;
  /** Nothing may follow from it. */
  silent?(write: W): boolean;
}

interface Item {
  // biome-ignore lint/suspicious/noExplicitAny: items of all kinds wait in one line; each meets only its own kind
  kind: WriteKind<any, any>;
  write: unknown;
  alone: boolean;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

interface Done {
  item: Item;
  outcome: Outcome | null;
  error: AppError | null;
}

/**
 * The one way by which contacts change: writes that wait are loaded as one working set, applied one after the other in memory, and
 * saved as the difference, in one transaction.
 */
export class PeopleWriter {
  readonly definitions: DefinitionsCache;
  private waiting: Item[] = [];
  private salt: string | null = null;
  /** A batch begins outside of the transaction that found more waiting. */
  private readonly outside = AsyncLocalStorage.snapshot();

  constructor(
    private readonly store: Store,
    private readonly publish: Listener,
    private readonly now: () => number,
    private readonly wake: () => void,
  ) {
    this.definitions = new DefinitionsCache(store);
  }

  /** @throws AppError when the write is refused, StoreUnavailable */
  write<R, W, C>(kind: WriteKind<W, C>, write: W): Promise<R> {
    return new Promise<R>((resolve, reject) => {
      this.add({ kind, write, alone: false, resolve: value => resolve(value as R), reject });
    });
  }

  /** What a call would do, without doing it. */
  async preview<R>({
    keys,
    apply,
  }: {
    keys: Keys & { lists?: string[] };
    apply(people: People, now: number): { result: R };
  }): Promise<R> {
    return this.store.read(async tx => {
      const salt = this.salt ?? '';
      const definitions = await this.definitions.read(tx, keys.lists ?? []);
      const { people } = await loadPeople(tx, [keys], definitions, salt);
      people.begin();
      return apply(people, this.now()).result;
    });
  }

  private add(item: Item): void {
    this.waiting.push(item);
    // A batch takes whatever waits when its turn comes; one for each write, so that none is left behind.
    if (item.alone || this.waiting.length % MAX_BATCH === 1) this.beginBatch();
  }

  private beginBatch(): void {
    this.outside(() => void this.commitBatch());
  }

  private async commitBatch(): Promise<void> {
    let items: Item[] = [];
    let taken = false;
    let due = false;
    let done: Done[] = [];
    try {
      await this.store.write(async tx => {
        if (!taken) {
          const alone = this.waiting.findIndex(each => each.alone);
          items =
            alone === 0
              ? this.waiting.splice(0, 1)
              : this.waiting.splice(0, alone < 0 ? MAX_BATCH : Math.min(alone, MAX_BATCH));
          taken = true;
          if (this.waiting.length) this.beginBatch();
        }
        if (!items.length) return;
        ({ done, due } = await this.runBatch(tx, items));
      });
    } catch (error) {
      if (!taken) items = this.waiting.splice(0);
      return this.fail(items, error);
    }
    for (const { item, outcome, error } of done) {
      if (error) item.reject(error);
      else item.resolve(outcome?.result);
    }
    if (due) this.wake();
  }

  /** A batch that failed by one of its writes is tried one by one. */
  private fail(items: Item[], error: unknown): void {
    if (items.length === 1 || error instanceof StoreUnavailable) {
      this.salt = null;
      for (const item of items) item.reject(error);
      return;
    }
    for (const item of items) this.add({ ...item, alone: true });
  }

  private async runBatch(tx: Tx, items: Item[]): Promise<{ done: Done[]; due: boolean }> {
    const now = this.now();
    this.salt ??= await requireSalt(tx);
    const kinds = Map.groupBy(items, item => item.kind);
    const contexts = new Map<unknown, unknown>();
    for (const [kind, of] of kinds) {
      contexts.set(
        kind,
        await kind.load(
          tx,
          of.map(item => item.write),
          this.salt,
        ),
      );
    }
    const keys = items.flatMap(item => item.kind.keys(item.write, contexts.get(item.kind)) ?? []);
    const definitions = await this.definitions.read(
      tx,
      keys.flatMap(each => each.lists ?? []),
    );
    const set = await loadPeople(tx, keys, definitions, this.salt);
    const done: Done[] = [];
    for (const item of items) {
      set.people.begin();
      try {
        const outcome = item.kind.apply(set.people, item.write, contexts.get(item.kind), now);
        done.push({ item, outcome, error: null });
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        set.people.undo();
        done.push({ item, outcome: null, error });
      }
    }
    await savePeople(tx, set, now);
    await noteMerges(tx, set, now);
    await noteFormerContacts(tx, set);
    const outcomes = done.flatMap(each => each.outcome ?? []);
    await insertContactChanges(tx, outcomes, now);
    await insertEvents(
      tx,
      outcomes.flatMap(each => each.events),
      now,
    );
    const released = await releaseWaiting(tx, [...new Set(outcomes.flatMap(each => each.known))], now);
    let due = released;
    for (const { item, outcome } of done) {
      if (!outcome?.changes.length || item.kind.silent?.(item.write)) continue;
      const told = await this.publish(tx, outcome.changes, outcome.cause, now);
      outcome.effects.push(...told);
      if (told.length) due = true;
    }
    for (const [kind] of kinds) await kind.save(tx, contexts.get(kind), now);
    this.definitions.noteProperties(set.people.newProperties);
    return { done, due };
  }
}
