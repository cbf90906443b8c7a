import { and, eq, inArray } from 'drizzle-orm';
import { emailMessages, type MailContent } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import { AppError } from '../errors.ts';
import { makeId } from '../id.ts';

export type MessageRow = typeof emailMessages.$inferSelect;
type Fallbacks = Record<string, string | null>;
const FALLBACKS = ['contactPropertiesFallbacks', 'eventPropertiesFallbacks', 'dataVariablesFallbacks'] as const;

/** What a caller may say of a message; fallbacks are merged by key and null removes one. */
export type ContentChange = Partial<Omit<MailContent, (typeof FALLBACKS)[number]>> &
  Partial<Record<(typeof FALLBACKS)[number], Fallbacks | undefined>>;

/** What a message says, and the variables found in it; null: they were not looked for yet. */
export type Checked = Pick<MessageRow, 'content' | 'variables'>;

export const EMPTY_CONTENT: MailContent = {
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

export function mergeContent(before: MailContent, change: ContentChange): MailContent {
  const given = Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined));
  const after = { ...before, ...given } as MailContent;
  for (const key of FALLBACKS) {
    const merged = { ...before[key], ...change[key] };
    after[key] = Object.fromEntries(
      Object.entries(merged).filter((entry): entry is [string, string] => entry[1] !== null),
    );
  }
  return after;
}

export async function createMessage(
  tx: Tx,
  { content, variables }: Checked,
  now: number,
  transactionalId: string | null = null,
): Promise<MessageRow> {
  const row = {
    id: makeId('em', now),
    content,
    variables,
    revisionId: makeId('rev', now),
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
    ...EMPTY_CONTENT,
    subject: 'Hello {{ data.name }}',
    html: '<p>Hello {{ data.name }},</p><p>this is a mail from <b>Inlet</b>. It works.</p>',
    dataVariablesFallbacks: { name: 'there' },
  },
  variables: ['data.name'],
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

/** Writes the content of a message that is still as it was read. Gives null when somebody else changed it meanwhile. */
export async function replaceContent(
  tx: Tx,
  before: MessageRow,
  { content, variables }: Checked,
  now: number,
): Promise<MessageRow | null> {
  const set = { content, variables, revisionId: makeId('rev', now), updatedAt: now };
  const written = await tx
    .update(emailMessages)
    .set(set)
    .where(and(eq(emailMessages.id, before.id), eq(emailMessages.revisionId, before.revisionId)))
    .returning({ id: emailMessages.id });
  return written.length ? { ...before, ...set } : null;
}

/** Keeps the variables of a message that a release saved which did not look for them. */
export async function recordVariables(tx: Tx, { id, revisionId }: MessageRow, variables: string[]): Promise<void> {
  await tx
    .update(emailMessages)
    .set({ variables })
    .where(and(eq(emailMessages.id, id), eq(emailMessages.revisionId, revisionId)));
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

/** In short, in the order of `ids`. */
export async function viewShortMessages(tx: Tx, ids: string[]) {
  const rows = ids.length ? await tx.select().from(emailMessages).where(inArray(emailMessages.id, ids)) : [];
  return ids.flatMap(id =>
    rows
      .filter(row => row.id === id)
      .map(({ content: { subject }, transactionalId, createdAt, updatedAt }) => ({
        ...{ id, subject, transactionalId },
        createdAt: new Date(createdAt).toISOString(),
        updatedAt: new Date(updatedAt).toISOString(),
      })),
  );
}
