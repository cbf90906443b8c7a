import { eq, ne } from 'drizzle-orm';
import { viewContacts } from '../audience/contacts.ts';
import { viewList } from '../audience/lists.ts';
import type { Cause, ContactChange, Who } from '../changes.ts';
import { type Effect, lists, webhookCalls, webhookSubscriptions } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import { makeId } from '../id.ts';
import { EVENT_RECEIVED, type EventName } from './names.ts';

const FRESH_MS = 500; // another process's change is seen within a second
const WAKE_MS = 20;
const PER_INSERT = 500; // rows: a statement takes a limited number of parameters

/** One thing to send: event name, what tells it from others of the same cause, and how to make its members when somebody wants it. */
interface Message {
  name: EventName;
  key: string;
  contact: Who | null;
  members(tx: Tx): Promise<Record<string, unknown> | null>;
}

const addNothing = async () => ({});

/** Loops' contact without Inlet's times; null when it is gone already. */
async function showContact(tx: Tx, id: string) {
  const [shown] = await viewContacts(tx, [id]);
  if (!shown) return null;
  const { createdAt: _, updatedAt: __, ...contact } = shown;
  return { contact };
}

async function showMailingList(tx: Tx, id: string) {
  const [row] = await tx.select().from(lists).where(eq(lists.id, id));
  return { mailingList: row ? viewList(row) : { id, name: '', description: null, isPublic: false } };
}

/** What of a happening goes out. Loops tells of a removal by two messages. */
function listMessages(happening: ContactChange, cause: Cause): Message[] {
  const { contact } = happening;
  const message = (name: EventName, members: Message['members'] = addNothing, target = ''): Message => ({
    name,
    key: `${cause.key}:${name}:${contact.id}${target && `:${target}`}`,
    contact,
    members,
  });
  switch (happening.kind) {
    case 'contact.created':
      return [message('contact.created', tx => showContact(tx, contact.id))];
    case 'contact.unsubscribed':
      return [message('contact.unsubscribed')];
    case 'contact.deleted':
      return [message('contact.unsubscribed'), message('contact.deleted')];
    case 'list.subscribed':
    case 'list.unsubscribed': {
      const { listId } = happening;
      const name =
        happening.kind === 'list.subscribed' ? 'contact.mailingList.subscribed' : 'contact.mailingList.unsubscribed';
      return [message(name, tx => showMailingList(tx, listId), listId)];
    }
    case 'event': {
      const { eventId, eventName, eventProperties } = happening;
      const event = { id: eventId, name: eventName, properties: eventProperties, deliveryId: cause.deliveryId };
      return [message(EVENT_RECEIVED, async () => ({ event }), eventId)];
    }
    default:
      return []; // Loops has no name for it
  }
}

/** The JSON text of a payload, common members first. `contact` null: a payload that is about nobody. */
export function formatPayload(
  name: string,
  contact: Who | null,
  members: Record<string, unknown>,
  now: number,
): string {
  return JSON.stringify({
    eventName: name,
    eventTime: Math.floor(now / 1000),
    webhookSchemaVersion: '1.0.0',
    ...(contact && { contactIdentity: { id: contact.id, email: contact.email, userId: contact.userId } }),
    ...members,
  });
}

interface NewCall {
  subscriptionId: string;
  eventName: string;
  uniqueKey: string;
  body: string;
}

/** Queues calls; one whose key was there before is not queued again. Gives those that are new. */
export async function queueCalls(tx: Tx, calls: NewCall[], now: number) {
  const fresh = {
    state: 'queued' as const,
    dueAt: now,
    leased: false,
    attempts: 0,
    failures: 0,
    crashes: 0,
    history: [],
  };
  const rows = calls.map(call => ({ ...call, ...fresh, id: makeId('msg', now), createdAt: now, finishedAt: null }));
  const queued: Pick<typeof webhookCalls.$inferSelect, 'id' | 'subscriptionId' | 'eventName'>[] = [];
  for (let i = 0; i < rows.length; i += PER_INSERT) {
    const some = rows.slice(i, i + PER_INSERT);
    const made = await tx.insert(webhookCalls).values(some).onConflictDoNothing().returning({
      id: webhookCalls.id,
      subscriptionId: webhookCalls.subscriptionId,
      eventName: webhookCalls.eventName,
    });
    queued.push(...made);
  }
  return queued;
}

/** Which subscriptions want what, kept in memory, so that a happening nobody wants costs nothing. */
export class SubscriptionIndex {
  private wanting: Map<string, string[]> | null = null; // event name → ids of subscriptions; a paused one collects
  private loadedAt = Number.NEGATIVE_INFINITY;
  private waking: Timer | undefined;

  /** `wake` tells the worker that something is due. */
  constructor(private readonly wake: () => void) {}

  /** After a change of this process has been committed. */
  invalidate(): void {
    this.wanting = null;
  }

  /** Tells subscriptions what happened to contacts: queues their calls in the transaction that does it. */
  hear = async (tx: Tx, happenings: ContactChange[], cause: Cause, now: number): Promise<Effect[]> => {
    if (!(await this.current(tx)).size) return [];
    return this.queue(
      tx,
      happenings.flatMap(happening => listMessages(happening, cause)),
      now,
    );
  };

  /**
   * Queues the calls of a happening that is not one of a contact's (mail). `key` is unique to it: with the same one nothing is queued
   * twice. `members` are what its payload holds beside the common ones. Call it in the transaction of what it tells.
   */
  emit(
    tx: Tx,
    name: EventName,
    contact: Who | null,
    members: Record<string, unknown>,
    key: string,
    now: number,
  ): Promise<Effect[]> {
    return this.queue(tx, [{ name, key: `${key}:${name}`, contact, members: async () => members }], now);
  }

  /** True when somebody wants it: what it would hold need not be read otherwise. */
  async wants(tx: Tx, name: EventName): Promise<boolean> {
    return (await this.current(tx)).has(name);
  }

  private async queue(tx: Tx, messages: Message[], now: number): Promise<Effect[]> {
    const wanting = await this.current(tx);
    const calls: NewCall[] = [];
    for (const { name, key, contact, members } of messages) {
      const ids = wanting.get(name);
      const more = ids && (await members(tx));
      if (!more) continue;
      const body = formatPayload(name, contact, more, now);
      for (const subscriptionId of ids)
        calls.push({ subscriptionId, eventName: name, uniqueKey: `${key}:${subscriptionId}`, body });
    }
    const queued = await queueCalls(tx, calls, now);
    if (queued.length) this.wakeSoon();
    return queued.map(({ id, subscriptionId, eventName }) => ({
      kind: 'webhook.queued',
      eventName,
      subscriptionId,
      callId: id,
    }));
  }

  /** Once the commit is likely over; where it is not, the worker looks by itself within a second. */
  private wakeSoon(): void {
    this.waking ??= setTimeout(() => {
      this.waking = undefined;
      this.wake();
    }, WAKE_MS);
  }

  /** Read by the caller's own transaction: inside one, nothing else may be waited for. */
  private async current(tx: Tx): Promise<Map<string, string[]>> {
    const at = performance.now();
    if (this.wanting && at - this.loadedAt < FRESH_MS) return this.wanting;
    const rows = await tx
      .select({ id: webhookSubscriptions.id, eventNames: webhookSubscriptions.eventNames })
      .from(webhookSubscriptions)
      .where(ne(webhookSubscriptions.state, 'disabled'));
    const wanting = new Map<string, string[]>();
    for (const row of rows)
      for (const name of row.eventNames) wanting.set(name, [...(wanting.get(name) ?? []), row.id]);
    this.wanting = wanting;
    this.loadedAt = at;
    return wanting;
  }
}
