import { asc, desc, eq } from 'drizzle-orm';
import { endpoints, lists, memberships } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import { AppError, notFound } from '../errors.ts';
import { newId } from '../id.ts';

type ListRow = typeof lists.$inferSelect;

/** Loops' shape. */
export const viewList = ({ id, name, description, isPublic }: ListRow) => ({ id, name, description, isPublic });

/** Newest last. */
export const allLists = (tx: Tx): Promise<ListRow[]> =>
  tx.select().from(lists).orderBy(asc(lists.createdAt), asc(lists.id));

export interface ListFields {
  name: string;
  description?: string | null | undefined;
  isPublic?: boolean | undefined;
}

export async function createList(tx: Tx, fields: ListFields, now: number): Promise<ListRow> {
  const row = {
    id: newId('list', now),
    name: fields.name,
    description: fields.description ?? null,
    isPublic: fields.isPublic ?? false,
    createdAt: now,
  };
  await tx.insert(lists).values(row);
  return row;
}

/** @throws AppError notFound */
export async function updateList(tx: Tx, id: string, fields: Partial<ListFields>): Promise<ListRow> {
  const given = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
  const [before] = await tx.select().from(lists).where(eq(lists.id, id));
  if (!before) throw notFound('List');
  if (!Object.keys(given).length) return before;
  const [row] = await tx.update(lists).set(given).where(eq(lists.id, id)).returning();
  return row ?? before;
}

/** Removes a list and everybody's membership. @throws AppError notFound; conflict while an endpoint subscribes people to it */
export async function deleteList(tx: Tx, id: string): Promise<void> {
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
  await tx.delete(memberships).where(eq(memberships.listId, id));
  await tx.delete(lists).where(eq(lists.id, id));
}
