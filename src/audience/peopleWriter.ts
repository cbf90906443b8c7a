import { AsyncLocalStorage } from 'node:async_hooks';
import type { Cause, ContactChange, Listener } from '../changes.ts';
import type { Effect } from '../db/schema.ts';
import { Held, type Hold, type Store, StoreUnavailable, type Tx } from '../db/store.ts';
import { AppError } from '../errors.ts';
import { insertEvents, type NewEvent } from '../events/events.ts';
import { yieldTurn } from '../time.ts';
import { insertContactChanges, noteFormerContacts } from './contactChanges.ts';
import { DefinitionsCache } from './definitions.ts';
import { noteMerges } from './merges.ts';
import type { People } from './people.ts';
import { releaseWaiting } from './releases.ts';
import { savePeople } from './savePeople.ts';
import { loadSalt, requireSalt } from './tombstones.ts';
import { type Keys, loadPeople, type WorkingSet } from './workingSet.ts';

const MAX_BATCH = 64; // writes that share a transaction
const MAX_WAITING = 4000; // writes; beyond it the senders are asked to retry
const MAX_MISSES = 8; // then it waits for its locks, alone

/** What keeps a person's writes together; '' where nothing does. */
const personOf = (item: Item): string => item.kind.lane?.(item.write) ?? '';

/** What one write did, for those who follow it and for its own rows. */
export interface Outcome {
  /** What the write is answered with. */
  result: unknown;
  changes: ContactChange[];
  cause: Cause;
  events: NewEvent[];
  /** Identities whose waiting deliveries are due. */
  known: string[];
  /** Its own delivery waits for somebody. */
  waits?: boolean;
  /** What listeners did about it is added here before `save`. */
  effects: Effect[];
}

/** A kind of write about people: webhooks, API calls, import rows, … `C` holds the caller's own rows of a batch. */
export interface WriteKind<W, C> {
  /** Reads the caller's own rows for all writes of a batch. */
  load(tx: Tx, writes: W[], salt: string, hold: Hold): Promise<C>;
  /** What keeps a person's writes together: the person's id or address. */
  lane?(write: W): string;
  /** Whom a write is about; null: nobody, `apply` needs no people. */
  keys(write: W): (Keys & { lists?: string[] }) | null;
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
  /** A batch that it was in failed. */
  alone: boolean;
  /** How often somebody else held its people. */
  misses: number;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

interface Done {
  item: Item;
  outcome: Outcome | null;
  error: AppError | null;
}

interface Line {
  waiting: Item[];
  working: boolean;
}

/**
 * The one way by which contacts change: writes that wait are loaded as one working set, applied one after the other in memory, and
 * saved as the difference, in one transaction. A person's writes wait in one line, so that a burst about somebody meets in one batch.
 */
export class PeopleWriter {
  readonly definitions: DefinitionsCache;
  private readonly lines: Line[];
  private count = 0;
  private salt: string | null = null;
  /** Work on a line begins outside of whatever asked for it. */
  private readonly outside = AsyncLocalStorage.snapshot();

  constructor(
    private readonly store: Store,
    private readonly publish: Listener,
    private readonly now: () => number,
    private readonly wake: () => void,
  ) {
    this.definitions = new DefinitionsCache(store);
    this.lines = Array.from({ length: store.lanes }, () => ({ waiting: [], working: false }));
  }

  /** @throws AppError when the write is refused, StoreUnavailable */
  write<R, W, C>(kind: WriteKind<W, C>, write: W): Promise<R> {
    if (this.count >= MAX_WAITING) return Promise.reject(new StoreUnavailable('too many writes are waiting'));
    this.count++;
    return new Promise<R>((resolve, reject) => {
      this.add({ kind, write, alone: false, misses: 0, resolve: value => resolve(value as R), reject });
    }).finally(() => {
      this.count--;
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
      const salt = this.salt ?? (await loadSalt(tx)) ?? '';
      const definitions = await this.definitions.read(tx, keys.lists ?? []);
      const { people } = await loadPeople(tx, [keys], definitions, salt);
      people.begin();
      return apply(people, this.now()).result;
    });
  }

  private add(item: Item): void {
    const { length } = this.lines;
    const lane = length === 1 ? 0 : Number(Bun.hash(personOf(item))) % length;
    const line = this.lines[lane]!;
    line.waiting.push(item);
    if (line.working) return;
    line.working = true;
    this.outside(() => void this.work(line, lane));
  }

  private async work(line: Line, lane: number): Promise<void> {
    while (line.waiting.length) {
      await yieldTurn(); // requests that are there join the batch
      await this.commitBatch(line, lane);
    }
    line.working = false;
  }

  private async commitBatch(line: Line, lane: number): Promise<void> {
    const [first] = line.waiting;
    const patient = (first?.misses ?? 0) >= MAX_MISSES;
    let items: Item[] | null = null;
    let due = false;
    let done: Done[] = [];
    try {
      await this.store.writePeople(
        lane,
        async (tx, hold) => {
          items ??= this.takeItems(line, patient);
          ({ done, due } = await this.runBatch(tx, items, hold));
        },
        patient,
      );
    } catch (error) {
      return this.fail(items ?? line.waiting.splice(0), error);
    }
    for (const { item, outcome, error } of done) {
      if (error) item.reject(error);
      else item.resolve(outcome?.result);
    }
    if (due) this.wake();
  }

  /** What waits when the turn comes. One that failed in company goes by itself; what waits for its locks goes with the rest about its person. */
  private takeItems({ waiting }: Line, patient: boolean): Item[] {
    const [first] = waiting;
    if (!first || first.alone) return waiting.splice(0, 1);
    const person = personOf(first);
    const goes = (each: Item) => !each.alone && (patient ? personOf(each) === person : each.misses < MAX_MISSES);
    const end = waiting.findIndex(each => !goes(each));
    if (!patient || person === '')
      return waiting.splice(0, patient ? 1 : Math.min(end < 0 ? MAX_BATCH : end, MAX_BATCH));
    const taken = new Set(waiting.filter(goes).slice(0, MAX_BATCH));
    waiting.splice(0, waiting.length, ...waiting.filter(each => !taken.has(each)));
    return [...taken];
  }

  /** A batch that failed by one of its writes is tried one by one; one whose people somebody else holds, a moment later. */
  private fail(items: Item[], error: unknown): void {
    this.salt = null; // perhaps made by the transaction that did not last
    if (error instanceof Held) {
      this.delay(items, error);
      return;
    }
    if (items.length === 1 || error instanceof StoreUnavailable) {
      for (const item of items) item.reject(error);
      return;
    }
    for (const item of items) this.add({ ...item, alone: true });
  }

  private delay(items: Item[], { keys }: Held): void {
    const missed = new Set(keys);
    const names = (item: Item) => {
      const { ids = [], ties = [] } = item.kind.keys(item.write) ?? {};
      return ids.some(id => missed.has(`id:${id}`)) || ties.some(tie => missed.has(`tie:${tie}`));
    };
    const held = items.filter(names);
    const late = held.length ? held : items; // found on the way: nobody can tell whose it was
    for (const item of items) if (!late.includes(item)) this.add(item);
    const misses = Math.max(...late.map(item => item.misses)) + 1;
    // Together, so that they meet in one batch again: one at a time a person of whom much comes would never be through.
    const addAll = () => {
      for (const item of late) this.add({ ...item, misses });
    };
    setTimeout(addAll, 1 + Math.random() * 4 * Math.min(misses, MAX_MISSES));
  }

  private async runBatch(tx: Tx, items: Item[], hold: Hold): Promise<{ done: Done[]; due: boolean }> {
    const now = this.now();
    const salt = this.salt ?? (await requireSalt(tx));
    this.salt = salt;
    const kinds = Map.groupBy(items, item => item.kind);
    const { contexts, set } = await this.load(tx, items, kinds, salt, hold);
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
    let due = false;
    for (const { item, outcome } of done) {
      if (!outcome?.changes.length || item.kind.silent?.(item.write)) continue;
      const told = await this.publish(tx, outcome.changes, outcome.cause, now);
      outcome.effects.push(...told);
      if (told.length) due = true;
    }
    for (const [kind] of kinds) await kind.save(tx, contexts.get(kind), now);
    if (await releaseWaiting(tx, listReleased(outcomes, set), now)) due = true;
    this.definitions.noteProperties(set.people.newProperties);
    return { done, due };
  }

  /** The people of a batch and the callers' own rows, at once: whom a write is about is known without a database. */
  private async load(tx: Tx, items: Item[], kinds: Map<Item['kind'], Item[]>, salt: string, hold: Hold) {
    const keys = items.flatMap(item => item.kind.keys(item.write) ?? []);
    const lists = keys.flatMap(each => each.lists ?? []);
    const definitions = await this.definitions.read(tx, lists);
    const contexts = new Map<unknown, unknown>();
    const loadContext = async (kind: Item['kind'], of: Item[]) => {
      const writes = of.map(item => item.write);
      contexts.set(kind, await kind.load(tx, writes, salt, hold));
    };
    const [set] = await Promise.all([
      loadPeople(tx, keys, definitions, salt, hold),
      ...[...kinds].map(([kind, of]) => loadContext(kind, of)),
    ]);
    return { contexts, set };
  }
}

/** Whose deliveries may wait no longer. One that waits may have come in this very batch, before the one that makes its person known. */
function listReleased(outcomes: Outcome[], { waiting }: WorkingSet): string[] {
  const known = new Set(outcomes.flatMap(each => each.known));
  if (outcomes.some(each => each.waits)) return [...known];
  return [...known].filter(id => !waiting.asked.has(id) || waiting.found.has(id));
}
