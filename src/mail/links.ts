import { randomBytes } from 'node:crypto';
import { insertRows, query } from '../db/sets.ts';
import type { Store, Tx } from '../db/store.ts';
import { makeSealer, type Sealer } from '../sealing.ts';

const CONTEXT = 'unsubscribe';
const KEY = 'linkKey'; // in `meta`, 32 bytes base64: not the sealing key, so that links outlive a change of that

/** The two links of a mail: what stops it, and the page of what to get. */
interface MailLinks {
  unsubscribeUrl: string;
  preferencesUrl: string;
}

/** The links of a token; null: a mail that has none. */
export const makeLinks = (publicUrl: string, token: string | null): MailLinks => ({
  unsubscribeUrl: token === null ? '' : `${publicUrl}/unsubscribe/${token}`,
  preferencesUrl: token === null ? '' : `${publicUrl}/preferences/${token}`,
});

/** The token of test mails, whose pages change nothing. */
export const TEST_TOKEN = 'test';

/** What names a contact, a mail and the address it went to in its links; nobody but us can make it. It does not run out: old mails have it too. */
export const sealToken = (sealer: Sealer, contactId: string, mailId: string, address = ''): string =>
  sealer.seal(`${contactId} ${mailId} ${address}`, CONTEXT);

export interface Named {
  contactId: string;
  mailId: string;
  /** Null in links of releases before 0.2. */
  email: string | null;
}

/** Whom a link names; null: it is none that one of these sealed. */
export function openLink(sealers: Sealer[], token: string): Named | null {
  for (const sealer of sealers)
    try {
      const [contactId = '', mailId = '', ...email] = sealer.open(token, CONTEXT).split(' ');
      return { contactId, mailId, email: email.join(' ') || null };
    } catch {} // of another key
  return null;
}

/** What seals links; null: no link was made yet. */
export async function findLinkSealer(tx: Tx): Promise<Sealer | null> {
  const [row] = await query(tx, 'select value from meta where key = ?', [KEY]);
  return row ? makeSealer(Buffer.from(row[0] as string, 'base64')) : null;
}

/** The same, made when the first link needs it. */
export async function requireLinkSealer(store: Store): Promise<Sealer> {
  const known = await store.read(findLinkSealer);
  if (known) return known;
  return store.write(async tx => {
    const fresh = [[KEY, randomBytes(32).toString('base64')]];
    await insertRows(tx, 'meta', ['key', 'value'], fresh, 'on conflict (key) do nothing');
    const sealer = await findLinkSealer(tx);
    if (!sealer) throw new Error('the key of the links can not be read back');
    return sealer;
  });
}
