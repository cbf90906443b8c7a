import { domainToASCII } from 'node:url';
import type { Needles } from '../db/schema.ts';
import { query, selectAmong } from '../db/sets.ts';
import type { Store } from '../db/store.ts';
import { yieldTurn } from '../time.ts';

const LOOK_BYTES = 256 * 1024; // of text per look: some ms of the thread
const LOOK_ROWS = 200;
const PIECE = 128 * 1024; // characters of a text that is too large for one look
const FEW_WORDS = 8; // are looked for one by one: quicker than taking a text apart
const OVERLAP = 4096; // an address is at most 254 characters, each at most 7 where it is escaped

const ESCAPE = /\\(?:u([0-9a-f]{4})|([\s\S]))/gi;

/** JSON text as it reads: escapes of whichever writer undone (those of JSON within JSON, too), percent signs of addresses, lower case. */
export function unescapeText(text: string): string {
  let out = text;
  for (let depth = 0; depth < 3 && out.includes('\\'); depth++)
    out = out.replace(ESCAPE, (_, hex: string | undefined, sign: string) => {
      if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
      return /[nrtbf]/.test(sign) ? ' ' : sign;
    });
  if (out.includes('%')) out = out.replace(/%40/g, '@').replace(/%2b/gi, '+');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: whatever is not ASCII
  return (/[^\x00-\x7f]/.test(out) ? out.normalize('NFC') : out).toLowerCase();
}

/** How sure it is that a text is about the person. */
type Certainty = 'none' | 'weak' | 'strong';
const ORDER: Certainty[] = ['none', 'weak', 'strong'];
export const isAtLeast = (found: Certainty, wanted: Certainty) => ORDER.indexOf(found) >= ORDER.indexOf(wanted);

const TOKEN = /[a-z0-9_-]+/g;
const DOMAIN = /[\p{L}\p{N}.-]+/uy;
const LOCAL = /[\p{L}\p{N}._%+-]/u;

/** An id that is too short or too plain says nothing where it stands in a text. */
const isTelling = (id: string) => id.length >= 6 || /^[a-z]+_./i.test(id);

/** Finds a person's addresses and ids in texts, as whole words. */
export class Matcher {
  /** Domain → what stands before it. */
  private readonly locals = new Map<string, string[]>();
  private readonly words = new Map<string, Certainty>();
  /** Ids that are more than one word. */
  private readonly phrases: [string, Certainty][] = [];

  constructor({ emails, persons, weak }: Pick<Needles, 'emails' | 'persons' | 'weak'>, contacts: string[] = []) {
    for (const email of emails) {
      const at = email.lastIndexOf('@');
      const domain = email.slice(at + 1);
      if (at > 0) this.locals.set(domain, [...(this.locals.get(domain) ?? []), email.slice(0, at)]);
    }
    for (const id of weak) this.addId(id, 'weak');
    for (const id of [...persons, ...contacts]) this.addId(id, 'strong');
  }

  private addId(id: string, certainty: Certainty): void {
    if (!isTelling(id)) return;
    const text = unescapeText(id);
    if (/^[a-z0-9_-]+$/.test(text)) this.words.set(text, certainty);
    else this.phrases.push([text, certainty]);
  }

  find(text: string): Certainty {
    const plain = unescapeText(text);
    if (this.locals.size && this.hasAddress(plain)) return 'strong';
    let found: Certainty = 'none';
    if (this.words.size <= FEW_WORDS) {
      for (const [word, certainty] of this.words) {
        if (found === certainty || !hasPhrase(plain, word)) continue;
        if (certainty === 'strong') return certainty;
        found = certainty;
      }
    } else
      for (const [word] of plain.matchAll(TOKEN)) {
        const certainty = this.words.get(word);
        if (certainty === 'strong') return certainty;
        if (certainty) found = certainty;
      }
    for (const [phrase, certainty] of this.phrases) {
      if (!hasPhrase(plain, phrase)) continue;
      if (certainty === 'strong') return certainty;
      found = certainty;
    }
    return found;
  }

  private hasAddress(plain: string): boolean {
    for (let at = plain.indexOf('@'); at >= 0; at = plain.indexOf('@', at + 1)) {
      DOMAIN.lastIndex = at + 1;
      const said = DOMAIN.exec(plain)?.[0].replace(/[.-]+$/, '');
      if (!said) continue;
      // biome-ignore lint/suspicious/noControlCharactersInRegex: whatever is not ASCII
      const locals = this.locals.get(/[^\x00-\x7f]/.test(said) ? domainToASCII(said) : said) ?? [];
      for (const local of locals)
        if (plain.endsWith(local, at) && !LOCAL.test(plain.charAt(at - local.length - 1))) return true;
    }
    return false;
  }
}

function hasPhrase(text: string, phrase: string): boolean {
  const isWord = (sign: string) => /[a-z0-9_-]/.test(sign);
  for (let at = text.indexOf(phrase); at >= 0; at = text.indexOf(phrase, at + 1))
    if (!isWord(text.charAt(at - 1)) && !isWord(text.charAt(at + phrase.length))) return true;
  return false;
}

/** A table that is searched in the order of its key. `texts` are long, `columns` short. */
export interface Searched {
  from: string;
  key: string;
  columns: string[];
  texts: string[];
}

/** What a row's short columns say: it is of the person, it is not, or its texts decide, at this certainty. */
export type Verdict = 'theirs' | 'passed' | 'weak' | 'strong';

export interface Look {
  /** Keys of rows that are the person's. */
  theirs: string[];
  /** Keys of rows whose texts name the person. */
  named: string[];
  /** The last row that was looked at; null: there are no more. */
  after: string | null;
}

/** Looks at the next rows, as many as LOOK_BYTES of their texts allow. */
export async function lookAt(
  store: Store,
  { from, key, columns, texts }: Searched,
  after: string,
  judge: (columns: unknown[]) => Verdict,
  matcher: Matcher,
): Promise<Look> {
  const size = texts.map(text => `coalesce(octet_length(${text}), 0)`).join(' + ') || '0';
  const rows = await store.read(tx =>
    query(
      tx,
      `select ${[key, size, ...columns].join(', ')} from ${from} where ${key} > ? order by ${key} limit ${LOOK_ROWS}`,
      [after],
    ),
  );
  const look: Look = { theirs: [], named: [], after: null };
  const open = new Map<string, Verdict>();
  let bytes = 0;
  let last = -1;
  let large: [string, Verdict] | null = null;
  for (const [at, row] of rows.entries()) {
    const id = row[0] as string;
    const verdict = judge(row.slice(2));
    const isOpen = verdict === 'weak' || verdict === 'strong';
    if (isOpen) {
      const more = Number(row[1]);
      if (open.size && bytes + more > LOOK_BYTES) break;
      if (more > LOOK_BYTES) large = [id, verdict];
      else open.set(id, verdict);
      bytes += more;
    } else if (verdict === 'theirs') look.theirs.push(id);
    last = at;
    if (bytes > LOOK_BYTES) break;
  }
  const end = rows[last]?.[0] as string | undefined;
  look.after = rows.length < LOOK_ROWS && last === rows.length - 1 ? null : (end ?? null);
  if (!texts.length || end === undefined) return look;
  if (open.size) {
    const keys = [...open.keys()];
    const found = await store.read(tx =>
      selectAmong(tx, `select ${[key, ...texts].join(', ')} from ${from} where ${key}`, keys),
    );
    for (const [id, ...all] of found) {
      const wanted = open.get(id as string);
      if (wanted && isAtLeast(matcher.find(all.join('\n')), wanted as Certainty)) look.named.push(id as string);
    }
  }
  if (large && isAtLeast(await findInLarge(store, { from, key, texts }, large[0], matcher), large[1] as Certainty))
    look.named.push(large[0]);
  return look;
}

/** Looks at the texts of one row piece by piece. */
async function findInLarge(
  store: Store,
  { from, key, texts }: Pick<Searched, 'from' | 'key' | 'texts'>,
  id: string,
  matcher: Matcher,
): Promise<Certainty> {
  let found: Certainty = 'none';
  for (const text of texts) {
    for (let start = 1; ; start += PIECE - OVERLAP) {
      const [row] = await store.read(tx =>
        query(tx, `select substr(${text}, ${start}, ${PIECE}) from ${from} where ${key} = ?`, [id]),
      );
      const piece = (row?.[0] as string | null | undefined) ?? '';
      const certainty = matcher.find(piece);
      if (certainty === 'strong') return certainty;
      if (certainty === 'weak') found = certainty;
      if (piece.length < PIECE - OVERLAP) break;
      await yieldTurn(); // webhooks first
    }
  }
  return found;
}
