import { and, eq, sql } from 'drizzle-orm';
import { deliveries, identities, links } from '../db/schema.ts';
import { onKey } from '../db/sql.ts';
import { prepare, type Tx } from '../db/store.ts';
import type { Fact } from '../providers/provider.ts';
import { erasedAmong } from './erased.ts';
import type { Identity } from './partition.ts';
import { emptyRegisters, type Joining, join as joinFact, type K, type Registers } from './registers.ts';

/** Whom a fact is about: the provider's person, else the address, else an alias such as a payment's id. Null: nobody. */
export function identityId(provider: string, fact: Fact): string | null {
  if (fact.personId !== null) return `${provider}:${fact.personId}`;
  if (fact.email !== null) return `${provider}:@${fact.email}`;
  return fact.aliases[0] === undefined ? null : `${provider}:#${fact.aliases[0]}`;
}

/** The link values a fact claims, with its key; a former address only links, so its claim is the weakest. */
export function claims(provider: string, fact: Fact, k: K): Record<string, K> {
  const out: Record<string, K> = {};
  if (fact.formerEmail !== null) out[`email:${fact.formerEmail}`] = '';
  if (fact.email !== null) out[`email:${fact.email}`] = fact.deletion ? '' : k;
  if (fact.userId !== null) out[`user:${fact.userId}`] = k;
  for (const alias of fact.aliases) out[`id:${provider}:${alias}`] = k;
  return out;
}

const identityById = (tx: Tx) =>
  prepare(tx, 'identity', t =>
    t
      .select()
      .from(identities)
      .where(eq(identities.id, sql.placeholder('id')))
      .prepare(),
  );
const linkedBy = (tx: Tx) =>
  prepare(tx, 'linkedBy', t =>
    t
      .select({ id: links.identityId })
      .from(links)
      .where(eq(links.value, sql.placeholder('value')))
      .prepare(),
  );

/** The contact of an identity as committed, null when none is known yet. */
export async function contactIdOf(tx: Tx, id: string): Promise<string | null> {
  return (await identityById(tx).get({ id }))?.contactId ?? null;
}

/** The registers of an identity, null when it was never seen. */
export async function registersOf(tx: Tx, id: string): Promise<Registers | null> {
  return ((await identityById(tx).get({ id }))?.registers as Registers | undefined) ?? null;
}

/** Everything connected with these starting points, over links of any age. */
export async function component(
  tx: Tx,
  starts: Iterable<string>,
  values: Iterable<string>,
): Promise<Map<string, Identity>> {
  const found = new Map<string, Identity>();
  const seenValues = new Set<string>();
  const ids = [...starts];
  const open = [...values];
  while (ids.length || open.length) {
    for (let id = ids.pop(); id !== undefined; id = ids.pop()) {
      if (found.has(id)) continue;
      const row = await identityById(tx).get({ id });
      if (!row) continue;
      const registers = row.registers as Registers;
      const stored = { contactId: row.contactId, registers: JSON.stringify(registers) };
      found.set(id, { id, provider: row.provider, contactId: row.contactId, registers, stored });
      open.push(...Object.keys(registers.links));
    }
    for (let value = open.pop(); value !== undefined; value = open.pop()) {
      if (seenValues.has(value)) continue;
      seenValues.add(value);
      for (const { id } of await linkedBy(tx).all({ value })) ids.push(id);
    }
  }
  return found;
}

/** What an identity is to learn: `join` adds it to the registers it has, or to those of a new one. */
export interface Lesson {
  id: string;
  provider: string;
  links: Record<string, K>;
  join(known: Registers | null): Registers;
}

/**
 * Adds what an identity learns to `all`, which must hold everything connected with it.
 * The identity itself is written by `saveIdentities`, once its contact is known.
 */
export async function teach(tx: Tx, all: Map<string, Identity>, { id, provider, links: values, join }: Lesson) {
  const known = all.get(id);
  const linked = new Set(known ? Object.keys(known.registers.links) : []);
  const registers = join(known?.registers ?? null);
  if (!known) all.set(id, { id, provider, contactId: null, registers, stored: null });
  for (const value of Object.keys(values)) {
    if (linked.has(value)) continue;
    await prepare(tx, 'link+', t =>
      t
        .insert(links)
        .values({ value: sql.placeholder('value'), identityId: sql.placeholder('id') })
        .onConflictDoNothing()
        .prepare(),
    ).run({ value, id });
  }
}

/**
 * Joins a fact into its identity and returns everything connected with it: what the contacts must be projected from.
 * Null: it is about somebody who was erased. Who is known was not, so that webhooks of known persons ask nothing.
 */
export async function learn(tx: Tx, id: string, provider: string, joining: Joining): Promise<Identity[] | null> {
  const values = Object.keys(joining.links);
  const all = await component(tx, [id], values);
  if (!all.has(id)) {
    const persons = [
      ...(joining.fact.personId === null ? [] : [id]),
      ...values.filter(value => value.startsWith('id:')),
    ];
    if (await erasedAmong(tx, persons, values, joining.fact.at)) return null;
  }
  const join = (known: Registers | null) =>
    joinFact(known ?? emptyRegisters(joining.class, joining.fact.personId), joining);
  await teach(tx, all, { id, provider, links: joining.links, join });
  return [...all.values()];
}

/** Writes what changed of these identities: registers and the contact they point at. */
export async function saveIdentities(tx: Tx, all: Identity[], now: number): Promise<void> {
  for (const { id, provider, contactId, registers, stored } of all) {
    const text = JSON.stringify(registers);
    if (stored?.contactId === contactId && stored.registers === text) continue;
    await prepare(tx, 'identity=', t =>
      t
        .insert(identities)
        .values({
          id: sql.placeholder('id'),
          provider: sql.placeholder('provider'),
          contactId: sql.placeholder('contactId'),
          registers: sql`${sql.placeholder('text')}`,
          createdAt: sql.placeholder('now'),
        })
        .onConflictDoUpdate({
          target: onKey(identities.id),
          set: { contactId: sql`excluded.contact_id`, registers: sql`excluded.registers` },
        })
        .prepare(),
    ).run({ id, provider, contactId, text, now });
  }
}

/** Deliveries that waited for this identity are due now. Returns how many. */
export async function releaseWaiting(tx: Tx, identityId: string): Promise<number> {
  const rows = await prepare(tx, 'release', t =>
    t
      .update(deliveries)
      .set({ status: 'queued', dueAt: 0 })
      .where(
        and(
          eq(deliveries.status, 'waiting'),
          sql`${deliveries.status} = 'waiting'`,
          eq(deliveries.identityId, sql.placeholder('id')),
        ),
      )
      .returning({ id: deliveries.id })
      .prepare(),
  ).all({ id: identityId });
  return rows.length;
}
