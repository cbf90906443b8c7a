import { and, eq, inArray, sql } from 'drizzle-orm';
import { contacts, deliveries, type Effect, events, lists, mails, memberships, type Scalar } from '../db/schema.ts';
import { prepare, type Tx } from '../db/store.ts';
import type { Happening, Who } from '../happenings.ts';
import { newId } from '../id.ts';
import { saveIdentities } from './identities.ts';
import { ascending, type Group, type Identity, partition } from './partition.ts';
import { type Projected, project } from './project.ts';

type ContactRow = typeof contacts.$inferSelect;

/** What became of the contact that an identity belongs to. */
export interface Settled {
  contactId: string | null;
  /** The address shown now, or before a removal. */
  email: string | null;
  userId: string | null;
  why: 'shown' | 'unknown' | 'deleted';
  /** The row that a removal took away: a last event may still name it. */
  removedId: string | null;
  effects: Effect[];
  /** Identities that had no contact and have one now: what waited for them is due. */
  known: string[];
  happenings: Happening[];
}

interface Plan {
  group: Group;
  contact: Projected | null;
  why: Settled['why'];
  /** Rows its identities pointed at, the surviving one first. */
  had: ContactRow[];
}

const DATA = ['email', 'userId', 'firstName', 'lastName', 'source', 'userGroup', 'subscribed'] as const;

async function existingLists(tx: Tx, all: Identity[]): Promise<Set<string>> {
  const known = new Set<string>();
  for (const id of new Set(
    all.flatMap(({ registers: r }) => [...Object.keys(r.lists), ...Object.keys(r.said?.lists ?? {})]),
  )) {
    const row = await prepare(tx, 'list', t =>
      t
        .select({ id: lists.id })
        .from(lists)
        .where(eq(lists.id, sql.placeholder('id')))
        .prepare(),
    ).get({ id });
    if (row) known.add(id);
  }
  return known;
}

/** Each old row goes to one group: the one shown before one that is not, the one of its auth user, then the longest known. */
function claimRows(plans: Plan[], rows: ContactRow[]): void {
  for (const row of rows) {
    const [owner] = plans
      .filter(plan => plan.group.identities.some(i => i.contactId === row.id))
      .map(plan => ({
        plan,
        auth: plan.group.identities.some(i => i.contactId === row.id && i.registers.class === 'auth'),
      }))
      .sort(
        (a, b) => Number(b.auth) - Number(a.auth) || Number(b.plan.contact !== null) - Number(a.plan.contact !== null),
      );
    owner?.plan.had.push(row);
  }
  for (const plan of plans) plan.had.sort((a, b) => a.createdAt - b.createdAt || ascending(a.id, b.id));
}

const contactById = (tx: Tx) =>
  prepare(tx, 'contact', t =>
    t
      .select()
      .from(contacts)
      .where(eq(contacts.id, sql.placeholder('id')))
      .prepare(),
  );

/** Writes the contacts that follow from these connected identities; `focus` is the one whose change caused it. */
export async function settle(tx: Tx, all: Identity[], focus: string, now: number): Promise<Settled> {
  const known = await existingLists(tx, all);
  const plans: Plan[] = partition(all).map(group => {
    const standing = project(group, id => known.has(id));
    return { group, contact: standing.contact, why: standing.contact ? 'shown' : standing.why, had: [] };
  });
  const rows: ContactRow[] = [];
  for (const id of new Set(all.map(i => i.contactId))) {
    const row = id === null ? undefined : await contactById(tx).get({ id });
    if (row) rows.push(row);
  }
  claimRows(plans, rows);
  await freeAddresses(tx, plans, rows);
  const happenings: Happening[] = [];
  const out: Settled = {
    contactId: null,
    email: null,
    userId: null,
    why: 'unknown',
    removedId: null,
    effects: [],
    known: [],
    happenings,
  };
  for (const plan of plans) {
    const mine = plan.group.identities.some(i => i.id === focus);
    const effects: Effect[] = [];
    const [survivor, ...merged] = plan.had;
    const id = plan.contact ? await writeContact(tx, plan.contact, survivor, now, { effects, happenings }) : null;
    for (const other of merged) {
      if (id) await mergeInto(tx, other.id, id);
      effects.push({ kind: 'contact.merged', from: other.id });
      if (id && plan.contact)
        happenings.push({ kind: 'contact.merged', contact: who(id, plan.contact), from: other.id });
    }
    if (!plan.contact && survivor) {
      effects.push({ kind: 'contact.deleted', contactId: survivor.id });
      happenings.push({ kind: 'contact.deleted', contact: who(survivor.id, survivor) });
    }
    for (const identity of plan.group.identities) {
      if (identity.stored && identity.contactId === null && id !== null) out.known.push(identity.id);
      identity.contactId = id;
    }
    if (mine) {
      Object.assign(out, { contactId: id, why: plan.why, email: plan.contact?.email ?? survivor?.email ?? null });
      out.userId = plan.contact?.userId ?? survivor?.userId ?? null;
      out.removedId = id === null ? (survivor?.id ?? null) : null;
      out.effects.unshift(...effects);
    } else out.effects.push(...effects.map(effect => ({ ...effect, contactId: id ?? survivor?.id ?? null })));
  }
  await saveIdentities(tx, all, now);
  return out;
}

/** Rows that go are deleted and addresses that change hands are set free first, since an address is unique. */
async function freeAddresses(tx: Tx, plans: Plan[], rows: ContactRow[]): Promise<void> {
  const staying = new Map(
    plans.flatMap(plan => (plan.contact && plan.had[0] ? [[plan.had[0].id, plan.contact.email]] : [])),
  );
  for (const row of rows) {
    const email = staying.get(row.id);
    if (email === undefined) {
      await tx.delete(contacts).where(eq(contacts.id, row.id));
      const merging = plans.some(plan => plan.contact && plan.had.includes(row));
      if (!merging) await tx.delete(memberships).where(eq(memberships.contactId, row.id));
    } else if (email !== row.email && plans.length > 1) {
      await tx.update(contacts).set({ email: row.id }).where(eq(contacts.id, row.id));
    }
  }
}

async function mergeInto(tx: Tx, from: string, to: string): Promise<void> {
  await tx.update(deliveries).set({ contactId: to }).where(eq(deliveries.contactId, from));
  await tx.update(events).set({ contactId: to }).where(eq(events.contactId, from));
  await tx.update(mails).set({ contactId: to }).where(eq(mails.contactId, from));
  await tx.delete(memberships).where(eq(memberships.contactId, from));
}

interface Done {
  effects: Effect[];
  happenings: Happening[];
}

const who = (id: string, { email, userId }: { email: string; userId: string | null }): Who => ({ id, email, userId });

/** The fields and properties that changed, before and after. */
function difference(had: ContactRow, data: Omit<Projected, 'lists'>) {
  const was: Record<string, Scalar | null> = {};
  const is: Record<string, Scalar | null> = {};
  const compare = (key: string, before: Scalar | null, after: Scalar | null) => {
    if (before === after) return;
    was[key] = before;
    is[key] = after;
  };
  for (const key of DATA) compare(key, had[key], data[key]);
  for (const key of new Set([...Object.keys(had.properties), ...Object.keys(data.properties)]))
    compare(key, had.properties[key] ?? null, data.properties[key] ?? null);
  return { was, is };
}

async function writeContact(
  tx: Tx,
  want: Projected,
  had: ContactRow | undefined,
  now: number,
  done: Done,
): Promise<string> {
  const { lists: wantLists, ...data } = want;
  const { effects, happenings } = done;
  if (!had) {
    const id = newId('con', now);
    await prepare(tx, 'contact+', t =>
      t
        .insert(contacts)
        .values({
          id: sql.placeholder('id'),
          email: sql.placeholder('email'),
          userId: sql.placeholder('userId'),
          firstName: sql.placeholder('firstName'),
          lastName: sql.placeholder('lastName'),
          source: sql.placeholder('source'),
          userGroup: sql.placeholder('userGroup'),
          subscribed: sql.placeholder('subscribed'),
          properties: sql.placeholder('properties'),
          createdAt: sql.placeholder('now'),
          updatedAt: sql.placeholder('now'),
        })
        .prepare(),
    ).run({ id, ...data, now });
    effects.push({ kind: 'contact.created' });
    happenings.push({ kind: 'contact.created', contact: who(id, data) });
    await syncLists(tx, who(id, data), wantLists, [], done);
    return id;
  }
  const changed: string[] = DATA.filter(key => had[key] !== data[key]);
  if (JSON.stringify(sorted(had.properties)) !== JSON.stringify(sorted(data.properties))) changed.push('properties');
  if (changed.length) {
    await prepare(tx, 'contact=', t =>
      t
        .update(contacts)
        .set({
          email: sql`${sql.placeholder('email')}`,
          userId: sql`${sql.placeholder('userId')}`,
          firstName: sql`${sql.placeholder('firstName')}`,
          lastName: sql`${sql.placeholder('lastName')}`,
          source: sql`${sql.placeholder('source')}`,
          userGroup: sql`${sql.placeholder('userGroup')}`,
          subscribed: sql`${sql.placeholder('subscribed')}`,
          properties: sql`${sql.placeholder('properties')}`,
          updatedAt: sql`${sql.placeholder('now')}`,
        })
        .where(eq(contacts.id, sql.placeholder('id')))
        .prepare(),
    ).run({
      id: had.id,
      ...data,
      subscribed: Number(data.subscribed),
      properties: JSON.stringify(data.properties),
      now,
    });
    const subscription =
      had.subscribed === data.subscribed
        ? []
        : [data.subscribed ? ('contact.resubscribed' as const) : ('contact.unsubscribed' as const)];
    for (const kind of subscription) {
      effects.push({ kind });
      happenings.push({ kind, contact: who(had.id, data) });
    }
    const other = changed.filter(key => key !== 'subscribed');
    if (other.length) effects.push({ kind: 'contact.updated', changed: other });
    happenings.push({ kind: 'contact.changed', contact: who(had.id, data), ...difference(had, data) });
  }
  const current = await prepare(tx, 'memberships', t =>
    t
      .select({ id: memberships.listId })
      .from(memberships)
      .where(eq(memberships.contactId, sql.placeholder('id')))
      .prepare(),
  ).all({ id: had.id });
  await syncLists(
    tx,
    who(had.id, data),
    wantLists,
    current.map(row => row.id),
    done,
  );
  return had.id;
}

const sorted = (record: Record<string, unknown>) => Object.entries(record).sort(([a], [b]) => ascending(a, b));

async function syncLists(tx: Tx, contact: Who, want: string[], have: string[], done: Done): Promise<void> {
  const { effects, happenings } = done;
  const contactId = contact.id;
  for (const listId of want.filter(id => !have.includes(id))) {
    await prepare(tx, 'member+', t =>
      t
        .insert(memberships)
        .values({ contactId: sql.placeholder('contactId'), listId: sql.placeholder('listId') })
        .onConflictDoNothing()
        .prepare(),
    ).run({ contactId, listId });
    effects.push({ kind: 'list.subscribed', listId });
    happenings.push({ kind: 'list.subscribed', contact, listId });
  }
  const gone = have.filter(id => !want.includes(id));
  if (!gone.length) return;
  await tx.delete(memberships).where(and(eq(memberships.contactId, contactId), inArray(memberships.listId, gone)));
  for (const listId of gone) {
    effects.push({ kind: 'list.unsubscribed', listId });
    happenings.push({ kind: 'list.unsubscribed', contact, listId });
  }
}
