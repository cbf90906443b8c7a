import { and, eq, exists, gte, inArray, lte, or, type SQL, sql } from 'drizzle-orm';
import type { SQLiteColumn } from 'drizzle-orm/sqlite-core';
import { contacts, memberships } from '../db/schema.ts';
import { avoidIndex, type Indexed, type Search } from '../db/search.ts';
import type { Tx } from '../db/store.ts';
import { makeIdAt } from '../id.ts';
import { findContactIdsOfUser } from './contacts.ts';
import { normalizeEmail } from './emails.ts';

/** Filters of contacts. `q` is how the address begins, `name` how the first or the last name does; times in ms. */
interface ContactFilter {
  q?: string | undefined;
  name?: string | undefined;
  userId?: string | undefined;
  listId?: string | undefined;
  userGroup?: string | undefined;
  source?: string | undefined;
  subscribed?: boolean | undefined;
  createdSince?: number | undefined;
  createdUntil?: number | undefined;
}

const SLACK_MS = 86_400_000; // an id may be later than its row's time, where the clock stepped back: by less than this
const LAST = '\u{10ffff}';

const lowerAscii = (text: string) => text.trim().replace(/[A-Z]/g, letter => letter.toLowerCase());
const matchPrefix = (expression: SQL, prefix: string) =>
  sql`substr(${expression}, 1, ${[...prefix].length}) = ${prefix}`; // no index: inside a window it would read all of a prefix
const matchRange = (expression: SQL, prefix: string) =>
  sql`${expression} >= ${prefix} and ${expression} < ${prefix + LAST}`;

/** One filter: what it says, and the index that answers it. */
interface Part {
  where: SQL | undefined;
  index: Indexed;
}

const describeIndex = (where: SQL | undefined, ordered: boolean): Indexed => ({
  from: contacts,
  id: contacts.id,
  where,
  ordered,
});
const matchValue = (column: SQLiteColumn, value: string): Part => ({
  where: eq(avoidIndex(column), value),
  index: describeIndex(eq(column, value), true),
});
const matchSubscribed = (subscribed: boolean): Part => ({
  where: sql`+${contacts.subscribed} = ${Number(subscribed)}`, // + as in `avoidIndex`, for a number
  index: describeIndex(eq(contacts.subscribed, subscribed), true),
});

function matchName(name: string): Part {
  const first = sql`lower(${contacts.firstName})`;
  const last = sql`lower(${contacts.lastName})`;
  return {
    where: or(matchPrefix(first, name), matchPrefix(last, name)),
    index: describeIndex(
      or(
        and(sql`${contacts.firstName} is not null`, matchRange(first, name)),
        and(sql`${contacts.lastName} is not null`, matchRange(last, name)),
      ),
      false,
    ),
  };
}

function matchList(tx: Tx, listId: string): Part {
  const onIt = eq(memberships.listId, listId);
  const member = tx
    .select({ one: sql`1` })
    .from(memberships)
    .where(and(eq(memberships.contactId, contacts.id), onIt));
  return { where: exists(member), index: { from: memberships, id: memberships.contactId, where: onIt, ordered: true } };
}

async function matchUser(tx: Tx, userId: string): Promise<Part> {
  const ids = await findContactIdsOfUser(tx, userId);
  const where = ids.length ? inArray(contacts.id, ids) : sql`1 = 0`;
  return { where, index: describeIndex(where, true) };
}

/** The filter as a search. */
export async function buildContactSearch(tx: Tx, filter: ContactFilter): Promise<Search> {
  const { userId, listId, userGroup, source, subscribed, createdSince, createdUntil } = filter;
  const email = normalizeEmail(filter.q ?? '');
  const name = lowerAscii(filter.name ?? '');
  const column = sql`${contacts.email}`;
  const parts: Part[] = [
    ...(userId === undefined ? [] : [await matchUser(tx, userId)]),
    ...(email ? [{ where: matchPrefix(column, email), index: describeIndex(matchRange(column, email), false) }] : []),
    ...(name ? [matchName(name)] : []),
    ...(listId === undefined ? [] : [matchList(tx, listId)]),
    ...(userGroup === undefined ? [] : [matchValue(contacts.userGroup, userGroup)]),
    ...(source === undefined ? [] : [matchValue(contacts.source, source)]),
    ...(subscribed === undefined ? [] : [matchSubscribed(subscribed)]),
  ];
  const since = createdSince === undefined ? undefined : gte(contacts.createdAt, createdSince);
  const until = createdUntil === undefined ? undefined : lte(contacts.createdAt, createdUntil);
  const indexes = parts.map(part => part.index);
  return {
    where: and(...parts.map(part => part.where), since, until),
    indexes,
    alone: since || until || indexes.length > 1 ? undefined : (indexes[0] ?? describeIndex(undefined, true)),
    floor: createdSince === undefined ? undefined : makeIdAt('con', createdSince),
    ceiling: createdUntil === undefined ? undefined : makeIdAt('con', createdUntil + SLACK_MS),
  };
}
