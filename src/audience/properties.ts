import { eq, sql } from 'drizzle-orm';
import { type Effect, properties, type Scalar } from '../db/schema.ts';
import { prepare, type Tx } from '../db/store.ts';

export type PropertyType = (typeof properties.$inferSelect)['type'];

const typeOf = (value: Scalar): PropertyType => {
  const type = typeof value;
  return type === 'number' || type === 'boolean' ? type : 'string';
};

const typeOfKey = (tx: Tx) =>
  prepare(tx, 'property', t =>
    t
      .select({ type: properties.type })
      .from(properties)
      .where(eq(properties.key, sql.placeholder('key')))
      .prepare(),
  );
const makeProperty = (tx: Tx) =>
  prepare(tx, 'property+', t =>
    t
      .insert(properties)
      .values({ key: sql.placeholder('key'), type: sql.placeholder('type'), createdAt: sql.placeholder('now') })
      .onConflictDoNothing()
      .prepare(),
  );

/** Keeps the values whose type fits the property, making properties that do not exist yet; the rest is named in `effects`. */
export async function fitProperties(
  tx: Tx,
  values: Record<string, Scalar>,
  now: number,
  effects: Effect[],
): Promise<Record<string, Scalar>> {
  const fitting: Record<string, Scalar> = {};
  for (const [key, value] of Object.entries(values)) {
    const type = typeOf(value);
    const known = (await typeOfKey(tx).get({ key }))?.type;
    if (known === undefined) await makeProperty(tx).run({ key, type, now });
    if (known === undefined || known === type || (known === 'date' && type !== 'boolean')) fitting[key] = value;
    else
      effects.push({ kind: 'property.dropped', property: key, reason: `is a ${known}, the webhook holds a ${type}` });
  }
  return fitting;
}
