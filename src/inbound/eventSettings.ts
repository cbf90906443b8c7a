import { z } from 'zod';
import type { EventOverrides } from '../db/schema.ts';
import type { Provider } from '../providers/provider.ts';

const name = z.string().trim().min(1).max(100);
const path = z.string().min(1).max(200);
const key = z.string().regex(/^[A-Za-z][A-Za-z0-9_]{0,99}$/, 'must be letters, digits and _ only, like planName');
const DEFAULT_PROPERTIES = [
  'id',
  'email',
  'userId',
  'firstName',
  'lastName',
  'source',
  'subscribed',
  'userGroup',
  'mailingLists',
];
const RESERVED = [
  ...DEFAULT_PROPERTIES,
  'optInStatus',
  'notes',
  'createdAt',
  'listId',
  'softDeleteAt',
  'teamId',
  'updatedAt',
];
const propertyKey = key.refine(v => !RESERVED.includes(v), 'is a default property; choose another name');

/** What the user sets per endpoint and event type. In a PATCH, null restores a key's default. */
export const eventSettings = z.strictObject({
  enabled: z.boolean(),
  syncNames: z.boolean(),
  userGroup: name.nullable(),
  mailingLists: z.array(z.string().min(1).max(100)).max(50),
  triggerEvent: name.refine(v => !v.includes(':'), 'must not contain ":"').nullable(),
  triggerMaxAgeHours: z
    .number()
    .positive()
    .max(24 * 366),
  eventProperties: z.record(key, path),
  contactProperties: z.record(propertyKey, path),
  onDelete: z.enum(['unsubscribe', 'delete', 'ignore']).optional(),
});
export type EventSettings = z.infer<typeof eventSettings>;

const DEFAULTS: EventSettings = {
  enabled: true,
  syncNames: true,
  userGroup: null,
  mailingLists: [],
  triggerEvent: null,
  triggerMaxAgeHours: 72,
  eventProperties: {},
  contactProperties: {},
};

/** The settings of every type of the provider: defaults, and over them what is stored. */
export function resolveEvents(provider: Provider, stored: EventOverrides): Record<string, EventSettings> {
  const out: Record<string, EventSettings> = {};
  for (const { type, deletion } of provider.types) {
    const base: EventSettings = deletion ? { ...DEFAULTS, onDelete: 'unsubscribe' } : DEFAULTS;
    out[type] = Object.hasOwn(stored, type) ? { ...base, ...stored[type] } : base;
  }
  return out;
}
