import { eq } from 'drizzle-orm';
import { emailMessages, type MailContent } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import { AppError } from '../errors.ts';
import { newId } from '../id.ts';
import { checkContent } from './render.ts';

export type MessageRow = typeof emailMessages.$inferSelect;
export type Fallbacks = Record<string, string | null>;
const FALLBACKS = ['contactPropertiesFallbacks', 'eventPropertiesFallbacks', 'dataVariablesFallbacks'] as const;

/** What a caller may say of a message; fallbacks are merged by key and null removes one. */
export type ContentChange = Partial<Omit<MailContent, (typeof FALLBACKS)[number]>> &
  Partial<Record<(typeof FALLBACKS)[number], Fallbacks | undefined>>;

const EMPTY: MailContent = {
  subject: '',
  previewText: '',
  fromName: '',
  fromEmail: '',
  replyToEmail: '',
  emailFormat: 'styled',
  html: '',
  text: '',
  lmx: '',
  contactPropertiesFallbacks: {},
  eventPropertiesFallbacks: {},
  dataVariablesFallbacks: {},
};

function changed(before: MailContent, change: ContentChange): MailContent {
  const given = Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined));
  const after = { ...before, ...given } as MailContent;
  for (const key of FALLBACKS) {
    const merged = { ...before[key], ...change[key] };
    after[key] = Object.fromEntries(
      Object.entries(merged).filter((entry): entry is [string, string] => entry[1] !== null),
    );
  }
  checkContent(after);
  return after;
}

/** @throws AppError invalid when a part is no template */
export async function createMessage(
  tx: Tx,
  change: ContentChange,
  now: number,
  transactionalId: string | null = null,
): Promise<MessageRow> {
  const content = changed(EMPTY, change);
  const row = {
    id: newId('em', now),
    content,
    revisionId: newId('rev', now),
    transactionalId,
    createdAt: now,
    updatedAt: now,
  };
  await tx.insert(emailMessages).values(row);
  return row;
}

/** Built in, so that a new installation has something to send. */
export const EXAMPLE_ID = 'example';
const EXAMPLE: MessageRow = {
  id: EXAMPLE_ID,
  content: {
    ...EMPTY,
    subject: 'Hello {{ data.name }}',
    html: '<p>Hello {{ data.name }},</p><p>this is a mail from <b>Inlet</b>. It works.</p>',
    dataVariablesFallbacks: { name: 'there' },
  },
  revisionId: EXAMPLE_ID,
  transactionalId: EXAMPLE_ID,
  createdAt: 0,
  updatedAt: 0,
};

/** @throws AppError notFound, in Loops' words */
export async function getMessage(tx: Tx, id: string): Promise<MessageRow> {
  if (id === EXAMPLE_ID) return EXAMPLE;
  const [row] = await tx.select().from(emailMessages).where(eq(emailMessages.id, id));
  if (!row) throw new AppError('notFound', 'Email message not found.');
  return row;
}

/** `expected`: the revision the caller has seen; undefined: whichever there is. @throws AppError notFound, conflict, invalid */
export async function updateMessage(
  tx: Tx,
  id: string,
  change: ContentChange,
  expected: string | null | undefined,
  now: number,
): Promise<MessageRow> {
  const before = await getMessage(tx, id);
  if (expected !== undefined && expected !== before.revisionId)
    throw new AppError('conflict', 'Content revision ID is stale. Read the message again and repeat the change.');
  const content = changed(before.content, change);
  const set = { content, revisionId: newId('rev', now), updatedAt: now };
  await tx.update(emailMessages).set(set).where(eq(emailMessages.id, id));
  return { ...before, ...set };
}

/** In Loops' shape, with `html` and `text`. */
export function viewMessage({ id, content, revisionId, transactionalId, createdAt, updatedAt }: MessageRow) {
  const fallbacks = Object.fromEntries(
    FALLBACKS.flatMap(key => (Object.keys(content[key]).length ? [[key, content[key]]] : [])),
  );
  const { subject, previewText, fromName, fromEmail, replyToEmail, emailFormat, html, text, lmx } = content;
  return {
    id,
    emailMessageId: id,
    ...(transactionalId === null ? {} : { transactionalId }),
    ...{ subject, previewText, fromName, fromEmail, replyToEmail },
    ...{ emailFormat, html, text, lmx },
    ...fallbacks,
    contentRevisionId: revisionId,
    createdAt: new Date(createdAt).toISOString(),
    updatedAt: new Date(updatedAt).toISOString(),
  };
}
