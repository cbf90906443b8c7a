import { createLink } from '../access/sessions.ts';
import { AppError } from '../errors.ts';
import type { Invocation } from './command.ts';
import { writeNoted } from './noteChange.ts';
import { readInvocationConfig, useStore } from './open.ts';

/** The page's address; with a token one that signs in. After the `#` nothing reaches a server or its log. */
export const linkTo = (base: string, token: string | null): string =>
  token === null ? `${base}/_/` : `${base}/_/#/login/${token}`;

export async function printLink(i: Invocation): Promise<number> {
  const config = readInvocationConfig(i);
  if (!config.dashboard) throw new AppError('conflict', 'INLET_DASHBOARD=false: there is no page to sign in on.');
  const token = await useStore(config, store =>
    writeNoted(store, { action: 'session.link' }, tx => createLink(tx, Date.now())),
  );
  i.io.out(linkTo(config.publicUrl, token));
  i.io.err('It signs in once, within 15 minutes. Whoever has it may do everything: open it yourself.');
  return 0;
}
