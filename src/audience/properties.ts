import { eq } from 'drizzle-orm';
import { type Effect, properties, type Scalar } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';

export type PropertyType = (typeof properties.$inferSelect)['type'];

const typeOf = (value: Scalar): PropertyType => {
  const type = typeof value;
  return type === 'number' || type === 'boolean' ? type : 'string';
};

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
    await tx.insert(properties).values({ key, type, createdAt: now }).onConflictDoNothing();
    const [known] = await tx.select({ type: properties.type }).from(properties).where(eq(properties.key, key));
    if (known?.type === type || (known?.type === 'date' && type !== 'boolean')) fitting[key] = value;
    else effects.push({ kind: 'property.dropped', property: key, reason: `is ${known?.type}, the webhook holds a ${type}` });
  }
  return fitting;
}
