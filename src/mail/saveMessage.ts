import type { Context } from '../context.ts';
import type { MailContent } from '../db/schema.ts';
import { AppError } from '../errors.ts';
import { makeId } from '../id.ts';
import {
  type Checked,
  type ContentChange,
  createMessage,
  EMPTY_CONTENT,
  getMessage,
  type MessageRow,
  mergeContent,
  replaceContent,
} from './messages.ts';
import { requireDraft } from './transactional.ts';

type Parts = Pick<Context, 'store' | 'templates' | 'now'>;

/** @throws AppError invalid when a part is no template, or a value stands where it can't be escaped */
async function checkContent({ templates }: Parts, content: MailContent): Promise<Checked> {
  return { content, variables: await templates.findVariables(content, true) };
}

/** @throws AppError invalid, naming the part */
export async function saveMessage(parts: Parts, change: ContentChange): Promise<MessageRow> {
  const checked = await checkContent(parts, mergeContent(EMPTY_CONTENT, change));
  return parts.store.write(tx => createMessage(tx, checked, parts.now()));
}

/** `expected`: the revision the caller has seen; undefined: whichever there is. @throws AppError notFound, conflict, invalid */
export async function saveChange(
  parts: Parts,
  id: string,
  change: ContentChange,
  expected: string | undefined,
): Promise<MessageRow> {
  for (;;) {
    const before = await parts.store.read(async tx => {
      const message = await getMessage(tx, id);
      await requireDraft(tx, message);
      return message;
    });
    if (expected !== undefined && expected !== before.revisionId)
      throw new AppError('conflict', 'Content revision ID is stale. Read the message again and repeat the change.');
    const checked = await checkContent(parts, mergeContent(before.content, change));
    const saved = await parts.store.write(async tx => {
      await requireDraft(tx, before);
      return replaceContent(tx, before, checked, parts.now());
    });
    if (saved) return saved; // else it was changed while its templates were looked through
  }
}

/** The message as it would be with a change, saved nowhere. @throws AppError invalid, as saving it would */
export async function changeUnsaved(parts: Parts, message: MessageRow, change: ContentChange): Promise<MessageRow> {
  const checked = await checkContent(parts, mergeContent(message.content, change));
  return { ...message, ...checked, revisionId: makeId('rev', parts.now()) }; // what is cached of the saved one stays
}
