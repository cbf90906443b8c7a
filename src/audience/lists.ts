import { and, asc, desc, eq, inArray, ne } from 'drizzle-orm';
import { endpoints, lists, memberships, workflows } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import { AppError, notFound } from '../errors.ts';
import { makeId } from '../id.ts';
import { parseName } from '../plainName.ts';

type ListRow = typeof lists.$inferSelect;

/** Loops' shape. */
export const viewList = ({ id, name, description, isPublic }: ListRow) => ({ id, name, description, isPublic });

/** Newest last. */
export const loadAllLists = (tx: Tx): Promise<ListRow[]> =>
  tx.select().from(lists).orderBy(asc(lists.createdAt), asc(lists.id));

interface ListFields {
  name: string;
  description?: string | null | undefined;
  isPublic?: boolean | undefined;
}

export async function createList(tx: Tx, fields: ListFields, now: number): Promise<ListRow> {
  const row = {
    id: makeId('list', now),
    name: parseName(fields.name),
    description: fields.description ?? null,
    isPublic: fields.isPublic ?? false,
    createdAt: now,
  };
  await tx.insert(lists).values(row);
  return row;
}

/** @throws AppError notFound */
export async function updateList(tx: Tx, id: string, fields: Partial<ListFields>): Promise<ListRow> {
  if (fields.name !== undefined) parseName(fields.name);
  const given = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
  const [before] = await tx.select().from(lists).where(eq(lists.id, id));
  if (!before) throw notFound('List');
  if (!Object.keys(given).length) return before;
  const [row] = await tx.update(lists).set(given).where(eq(lists.id, id)).returning();
  return row ?? before;
}

/** @throws AppError notFound; conflict while an endpoint puts people on the list or a workflow needs it */
async function requireUnused(tx: Tx, id: string): Promise<void> {
  const [row] = await tx.select().from(lists).where(eq(lists.id, id));
  if (!row) throw notFound('List');
  for (const endpoint of await tx.select().from(endpoints).orderBy(desc(endpoints.id))) {
    const type = Object.entries(endpoint.events).find(
      ([, set]) => Array.isArray(set.mailingLists) && set.mailingLists.includes(id),
    )?.[0];
    if (type)
      throw new AppError(
        'conflict',
        `The endpoint ${endpoint.id} (${endpoint.name}) puts people on this list for ${type}. Take it out there first.`,
      );
  }
  for (const workflow of await tx.select().from(workflows).where(ne(workflows.state, 'stopped')))
    if (workflow.mailingListId === id || JSON.stringify(workflow.graph).includes(JSON.stringify(id)))
      throw new AppError(
        'conflict',
        `The workflow ${workflow.id} (${workflow.name}) is ${workflow.state} and needs this list. Take it out there, or stop the workflow, first.`,
      );
}

const CHUNK = 1000; // memberships per write: a few milliseconds

/**
 * Takes some people off a list that nobody uses; false when nobody is left on it. A big list is emptied in steps, so that others get
 * their turn. @throws AppError as `requireUnused`
 */
export async function thinList(tx: Tx, id: string): Promise<boolean> {
  await requireUnused(tx, id); // an endpoint may have adopted it since the step before
  const some = tx
    .select({ id: memberships.contactId })
    .from(memberships)
    .where(eq(memberships.listId, id))
    .limit(CHUNK);
  const gone = await tx
    .delete(memberships)
    .where(and(eq(memberships.listId, id), inArray(memberships.contactId, some)))
    .returning({ id: memberships.contactId });
  return gone.length === CHUNK;
}

/** Removes a list, and who is still on it. @throws AppError as `requireUnused` */
export async function deleteList(tx: Tx, id: string): Promise<void> {
  await requireUnused(tx, id);
  await tx.delete(memberships).where(eq(memberships.listId, id));
  await tx.delete(lists).where(eq(lists.id, id));
}
