import { and, asc, desc, eq, gt, inArray, lte } from 'drizzle-orm';
import { keys, sessions } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import { AppError, notFound } from '../errors.ts';
import { makeId, makeRandomText } from '../id.ts';
import { findKey, hashKey } from './keys.ts';

type Session = typeof sessions.$inferSelect;

export const SESSION_MS = 30 * 86_400_000; // after it was last used
const LINK_MS = 15 * 60_000;
const TOKEN_CHARACTERS = 50; // base 36: 258 bits
const MAX_SESSIONS = 200;

/** The key of the environment has no row: it is known by its hash. */
const ENVIRONMENT = 'INLET_API_KEY';

/** A session with the id of its key, where a key made it. */
export interface LiveSession extends Session {
  keyId: string | null;
}

/** Makes what a link holds that signs in once within 15 minutes; here only in the clear. */
export async function createLink(tx: Tx, now: number): Promise<string> {
  const token = makeRandomText(TOKEN_CHARACTERS);
  await tx.insert(sessions).values({
    ...{ id: makeId('ses', now), hash: hashKey(token), state: 'link', keyHash: null, scope: 'all' },
    ...{ createdAt: now, lastSeenAt: null, expiresAt: now + LINK_MS },
  });
  return token;
}

/** What the cookie is to hold, here only in the clear. */
interface Opened {
  row: LiveSession;
  token: string;
}

/** Signs in by a key. `ownHash`: of the key of the environment. @throws AppError unauthorized */
export async function openByKey(tx: Tx, key: string, ownHash: string | null, now: number): Promise<Opened> {
  const keyHash = hashKey(key);
  const row = keyHash === ownHash ? null : await findKey(tx, key);
  if (keyHash !== ownHash && !row)
    throw new AppError('unauthorized', 'Invalid API key. Copy it again, or make another: inlet keys create NAME');
  const token = makeRandomText(TOKEN_CHARACTERS);
  const session: Session = {
    ...{ id: makeId('ses', now), hash: hashKey(token), state: 'active', keyHash, scope: row?.scope ?? 'all' },
    ...{ createdAt: now, lastSeenAt: now, expiresAt: now + SESSION_MS },
  };
  await tx.insert(sessions).values(session);
  await thinSessions(tx);
  return { row: { ...session, keyId: row?.id ?? ENVIRONMENT }, token };
}

/** Signs in by a link, which works no second time: one statement takes it. @throws AppError unauthorized */
export async function openByLink(tx: Tx, link: string, now: number): Promise<Opened> {
  const token = makeRandomText(TOKEN_CHARACTERS);
  const [row] = await tx
    .update(sessions)
    .set({ hash: hashKey(token), state: 'active', lastSeenAt: now, expiresAt: now + SESSION_MS })
    .where(and(eq(sessions.hash, hashKey(link)), eq(sessions.state, 'link'), gt(sessions.expiresAt, now)))
    .returning();
  if (!row)
    throw new AppError(
      'unauthorized',
      'This link was used already or is older than 15 minutes. Make another on the server: inlet login',
    );
  return { row: { ...row, keyId: null }, token };
}

/** Who is signed in longest without a look makes room: scripts that sign in at every run would fill the table. */
async function thinSessions(tx: Tx): Promise<void> {
  const kept = await tx
    .select({ id: sessions.id })
    .from(sessions)
    .where(eq(sessions.state, 'active'))
    .orderBy(desc(sessions.lastSeenAt), desc(sessions.id))
    .limit(MAX_SESSIONS + 1);
  const extra = kept.at(MAX_SESSIONS);
  if (extra) await tx.delete(sessions).where(eq(sessions.id, extra.id));
}

/** Sessions that count now, by `which`: those of a key that is gone do not. */
async function loadSessions(tx: Tx, which: ReturnType<typeof eq> | undefined, ownHash: string | null, now: number) {
  const rows = await tx
    .select({ session: sessions, keyId: keys.id })
    .from(sessions)
    .leftJoin(keys, eq(keys.hash, sessions.keyHash))
    .where(and(which, eq(sessions.state, 'active'), gt(sessions.expiresAt, now)))
    .orderBy(desc(sessions.createdAt), desc(sessions.id));
  return rows.flatMap(({ session, keyId }): LiveSession[] => {
    if (session.keyHash === null) return [{ ...session, keyId: null }];
    const id = session.keyHash === ownHash ? ENVIRONMENT : keyId;
    return id === null ? [] : [{ ...session, keyId: id }];
  });
}

/** The session whose cookie holds what has this hash, or null. */
export async function findSession(
  tx: Tx,
  hash: string,
  ownHash: string | null,
  now: number,
): Promise<LiveSession | null> {
  return (await loadSessions(tx, eq(sessions.hash, hash), ownHash, now))[0] ?? null;
}

/** Newest first. */
export const listSessions = (tx: Tx, ownHash: string | null, now: number): Promise<LiveSession[]> =>
  loadSessions(tx, undefined, ownHash, now);

/** It was used: 30 days from now. */
export async function extendSession(tx: Tx, id: string, now: number): Promise<void> {
  await tx
    .update(sessions)
    .set({ lastSeenAt: now, expiresAt: now + SESSION_MS })
    .where(and(eq(sessions.id, id), eq(sessions.state, 'active'), gt(sessions.expiresAt, now)));
}

/** Ends a session. @throws AppError notFound */
export async function endSession(tx: Tx, id: string): Promise<void> {
  const [row] = await tx
    .delete(sessions)
    .where(and(eq(sessions.id, id), eq(sessions.state, 'active')))
    .returning({ id: sessions.id });
  if (!row) throw notFound('Session');
}

/** Removes up to `limit` sessions and links past their time. Returns how many. */
export async function pruneSessions(tx: Tx, now: number, limit: number): Promise<number> {
  const old = await tx
    .select({ id: sessions.id })
    .from(sessions)
    .where(lte(sessions.expiresAt, now))
    .orderBy(asc(sessions.expiresAt))
    .limit(limit);
  const ids = old.map(row => row.id);
  if (ids.length) await tx.delete(sessions).where(inArray(sessions.id, ids));
  return ids.length;
}
