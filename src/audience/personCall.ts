import { findUsedKeys, hashIdempotencyKey, keepIdempotencyKeys } from '../access/idempotency.ts';
import type { Cause } from '../changes.ts';
import type { Tx } from '../db/store.ts';
import { AppError } from '../errors.ts';
import type { People } from './people.ts';
import type { Outcome, PeopleWriter, WriteKind } from './peopleWriter.ts';
import type { Reconciled } from './reconcile.ts';
import type { Keys } from './workingSet.ts';

/** One write about people that is no webhook: an API call, rows of an import, a click on a link. */
export interface PersonCall<R> {
  keys: Keys & { lists?: string[] };
  /** As `WriteKind.apply`. */
  apply(people: People, now: number): Outcome & { result: R };
  /** Noted in the same transaction; used before: the call is refused with a conflict. */
  idempotency?: { scope: string; key: string } | undefined;
  /** The caller's own rows, in the same transaction. */
  after?(tx: Tx, result: R, now: number): Promise<void>;
  /** Nothing may follow from it: no workflow, no outgoing webhook. */
  silent?: boolean | undefined;
}

interface Context {
  /** Hash → until when it counts as used, ms. */
  used: Map<string, number>;
  fresh: { hash: string; scope: string }[];
  done: { call: PersonCall<unknown>; result: unknown }[];
}

const calling: WriteKind<PersonCall<unknown>, Context> = {
  lane: ({ keys }) => keys.ids?.[0] ?? keys.ties?.[0] ?? '',
  async load(tx, calls, _salt, hold) {
    const hashes = calls.flatMap(({ idempotency }) => (idempotency ? [hashIdempotencyKey(idempotency)] : []));
    const [, used] = await Promise.all([hold(hashes.map(each => `idem:${each}`)), findUsedKeys(tx, hashes)]);
    return { used, fresh: [], done: [] };
  },
  keys: call => call.keys,
  apply(people, call, context, now) {
    const hash = call.idempotency ? hashIdempotencyKey(call.idempotency) : null;
    const used = hash === null ? undefined : context.used.get(hash);
    if (hash !== null && used !== undefined && used > now) throw makeConflict();
    const outcome = call.apply(people, now);
    if (hash !== null && call.idempotency) {
      context.used.set(hash, Number.POSITIVE_INFINITY);
      context.fresh.push({ hash, scope: call.idempotency.scope });
    }
    context.done.push({ call, result: outcome.result });
    return outcome;
  },
  async save(tx, context, now) {
    await keepIdempotencyKeys(tx, context.fresh, now);
    for (const { call, result } of context.done) await call.after?.(tx, result, now);
  },
  silent: call => call.silent ?? false,
};

const makeConflict = () => new AppError('conflict', 'Idempotency key already used with a different request body.');

/** Makes a write about people. @throws AppError when it is refused, StoreUnavailable */
export const callPeople = <R>(people: PeopleWriter, call: PersonCall<R>): Promise<R> =>
  people.write(calling, call as PersonCall<unknown>);

/** The outcome of a write that changed one contact. */
export const makeOutcome = <R>(result: R, done: Reconciled | null, cause: Cause): Outcome & { result: R } => ({
  result,
  changes: done?.changes ?? [],
  cause,
  events: [],
  known: done?.known ?? [],
  effects: [...(done?.effects ?? [])],
});
