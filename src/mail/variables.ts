import type { Context } from '../context.ts';
import { AppError } from '../errors.ts';
import { type MessageRow, recordVariables } from './messages.ts';

type Parts = Pick<Context, 'store' | 'templates'>;

/** The variables of a message as paths, `data.confirmationUrl`. One saved by an earlier release is looked through now, once. */
async function readVariables({ store, templates }: Parts, message: MessageRow): Promise<string[]> {
  if (message.variables !== null) return message.variables;
  const found = await templates.findVariables(message.content, false).catch(error => {
    if (error instanceof AppError && error.code === 'invalid') return []; // it can't be sent either, which says why
    throw error;
  });
  await store.write(tx => recordVariables(tx, message, found));
  return found;
}

/** The data variables a message asks for, without `data.`. */
export async function readDataVariables(parts: Parts, message: MessageRow): Promise<string[]> {
  const variables = await readVariables(parts, message);
  return variables.flatMap(path => (path.startsWith('data.') ? [path.slice(5)] : []));
}
