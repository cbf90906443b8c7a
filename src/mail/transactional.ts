import { eq, inArray, isNotNull } from 'drizzle-orm';
import type { Context } from '../context.ts';
import { emailMessages, transactionals } from '../db/schema.ts';
import type { Search } from '../db/search.ts';
import type { Tx } from '../db/store.ts';
import { AppError } from '../errors.ts';
import { makeId } from '../id.ts';
import { formatTime } from '../time.ts';
import { createMessage, EMPTY_CONTENT, EXAMPLE_ID, getMessage, type MessageRow } from './messages.ts';
import { readDataVariables } from './variables.ts';

type Row = typeof transactionals.$inferSelect;

const NOTHING = { content: EMPTY_CONTENT, variables: [] };

const makeNotFound = () => new AppError('notFound', 'Transactional email not found.'); // Loops' words

/** @throws AppError notFound */
async function getTransactional(tx: Tx, id: string): Promise<Row> {
  const [row] = await tx.select().from(transactionals).where(eq(transactionals.id, id));
  if (!row) throw makeNotFound();
  return row;
}

/** A new one has an empty draft. */
export async function createTransactional(tx: Tx, name: string, now: number): Promise<Row> {
  const id = makeId('tr', now);
  const draft = await createMessage(tx, NOTHING, now, id);
  const row = { id, name, draftId: draft.id, publishedId: null, createdAt: now, updatedAt: now };
  await tx.insert(transactionals).values(row);
  return row;
}

/** @throws AppError notFound */
export async function renameTransactional(tx: Tx, id: string, name: string, now: number): Promise<Row> {
  const row = await getTransactional(tx, id);
  await tx.update(transactionals).set({ name, updatedAt: now }).where(eq(transactionals.id, id));
  return { ...row, name, updatedAt: now };
}

/** The draft there is, else a copy of what is published. @throws AppError notFound */
export async function openDraft(tx: Tx, id: string, now: number): Promise<Row> {
  const row = await getTransactional(tx, id);
  if (row.draftId !== null) return row;
  const published = row.publishedId === null ? null : await getMessage(tx, row.publishedId);
  const draft = await createMessage(tx, published ?? NOTHING, now, id);
  await tx.update(transactionals).set({ draftId: draft.id, updatedAt: now }).where(eq(transactionals.id, id));
  return { ...row, draftId: draft.id, updatedAt: now };
}

/** The draft is what is sent from now on. @throws AppError notFound; conflict without a draft; invalid when it says nothing */
export async function publish(tx: Tx, id: string, now: number): Promise<Row> {
  const row = await getTransactional(tx, id);
  if (row.draftId === null) throw new AppError('conflict', 'There is no draft to publish. Make one with POST …/draft.');
  const { content } = await getMessage(tx, row.draftId);
  if (!content.subject || !(content.html || content.text))
    throw new AppError('invalid', 'The draft needs a subject and html or text before it can be published.');
  const set = { publishedId: row.draftId, draftId: null, updatedAt: now };
  await tx.update(transactionals).set(set).where(eq(transactionals.id, id));
  return { ...row, ...set };
}

/** A published message may not be changed any more; its transactional email gets a draft for that. @throws AppError conflict */
export async function requireDraft(tx: Tx, message: MessageRow): Promise<void> {
  if (message.id === EXAMPLE_ID) throw new AppError('conflict', 'The example is built in. Make a message of your own.');
  if (message.transactionalId === null) return;
  const [row] = await tx.select().from(transactionals).where(eq(transactionals.id, message.transactionalId));
  if (row && row.draftId !== message.id)
    throw new AppError(
      'conflict',
      'This version is published. Make a draft with POST /transactional-emails/{id}/draft.',
    );
}

export const publishedOnly: Search = { where: isNotNull(transactionals.publishedId) };

/** In Loops' shape, in the order of `ids`. */
export async function viewTransactionals(parts: Pick<Context, 'store' | 'templates'>, ids: string[]) {
  const { rows, messages } = await parts.store.read(tx => lookUp(tx, ids));
  const views = ids.map(async id => {
    const row = rows.find(each => each.id === id);
    if (!row) return [];
    const published = messages.find(each => each.id === row.publishedId);
    const draft = messages.find(each => each.id === row.draftId);
    return [
      {
        id,
        name: row.name,
        draftEmailMessageId: row.draftId,
        draftEmailMessageContentRevisionId: draft?.revisionId ?? null,
        publishedEmailMessageId: row.publishedId,
        transactionalGroupId: null,
        dataVariables: published ? await readDataVariables(parts, published) : [],
        lastUpdated: formatTime(row.updatedAt),
        createdAt: formatTime(row.createdAt),
        updatedAt: formatTime(row.updatedAt),
      },
    ];
  });
  return (await Promise.all(views)).flat();
}

async function lookUp(tx: Tx, ids: string[]): Promise<{ rows: Row[]; messages: MessageRow[] }> {
  if (!ids.length) return { rows: [], messages: [] };
  const rows = await tx.select().from(transactionals).where(inArray(transactionals.id, ids));
  const named = rows.flatMap(row => [row.publishedId, row.draftId].filter(id => id !== null));
  const messages = named.length ? await tx.select().from(emailMessages).where(inArray(emailMessages.id, named)) : [];
  return { rows, messages };
}

/** One, in Loops' shape. @throws AppError notFound */
export async function viewTransactional(parts: Pick<Context, 'store' | 'templates'>, id: string) {
  const [view] = await viewTransactionals(parts, [id]);
  if (!view) throw makeNotFound();
  return view;
}

/** The message that is sent for it. @throws AppError notFound; invalid while nothing is published */
export async function getPublished(tx: Tx, id: string): Promise<MessageRow> {
  if (id === EXAMPLE_ID) return getMessage(tx, id);
  const row = await getTransactional(tx, id);
  if (row.publishedId === null)
    throw new AppError('invalid', 'This transactional email is not published yet. Publish its draft first.');
  return getMessage(tx, row.publishedId);
}
