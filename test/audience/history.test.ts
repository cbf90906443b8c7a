import { expect, test } from 'bun:test';
import { asc, inArray, like } from 'drizzle-orm';
import fc from 'fast-check';
import { factKey, type Word } from '../../src/audience/registers.ts';
import { applyWord } from '../../src/audience/word.ts';
import { contacts, lists, memberships } from '../../src/db/schema.ts';
import type { Store, Tx } from '../../src/db/store.ts';
import type { Rank } from '../../src/providers/provider.ts';
import { eachBackend } from '../support/backends.ts';
import { fact, NOW, type Told, tell } from '../support/facts.ts';

// The promise: same deliveries and API writes, any order, any duplicates → the contacts of the ordered history.
const RUNS = { sqlite: Number(process.env.HISTORY_RUNS ?? 3000), postgres: Number(process.env.HISTORY_RUNS ?? 500) };
const SEED = process.env.SEED ? Number(process.env.SEED) : Math.trunc(Math.random() * 2 ** 31);

const email = fc.constantFrom('a@x.co', 'b@x.co', 'c@x.co');
const name = fc.option(fc.constantFrom('Ada', 'Bob', 'Cy'), { nil: null });
const listIds = fc.subarray(['l1', 'l2'], { maxLength: 2 });
const group = fc.option(fc.constantFrom('G', 'H'), { nil: null });
const onDelete = fc.constantFrom('unsubscribe' as const, 'delete' as const, 'ignore' as const);

const person = fc.record({
  provider: fc.constantFrom('stripe' as const, 'polar' as const, 'clerk' as const, 'supabase' as const),
  who: fc.constantFrom('1', '2'),
  kind: fc.constantFrom('created', 'updated', 'updated', 'copy', 'copyNoEmail', 'deleted', 'guest', 'alias'),
  at: fc.integer({ min: 1, max: 12 }),
  email: fc.option(email, { nil: null, freq: 6 }),
  formerEmail: fc.option(email, { nil: null, freq: 1 }),
  firstName: name,
  lastName: name,
  lists: listIds,
  group,
  onDelete,
  plan: fc.option(fc.constantFrom('free', 'pro'), { nil: null }),
  external: fc.option(fc.constantFrom('1', '2'), { nil: null }),
});
type Happening = typeof person extends fc.Arbitrary<infer T> ? T : never;

const api = fc.record({
  kind: fc.constantFrom('write' as const, 'write' as const, 'write' as const, 'erase' as const, 'subscribe' as const),
  at: fc.integer({ min: 1, max: 12 }),
  email,
  user: fc.option(fc.constantFrom('clerk1', 'clerk2', 'own1', 'own2'), { nil: null }),
  claim: fc.boolean(),
  firstName: fc.option(fc.constantFrom('Api', 'Ida', null), { nil: undefined }),
  source: fc.option(fc.constantFrom('Form', 'CSV'), { nil: undefined }),
  group: fc.option(fc.constantFrom('A', ''), { nil: undefined }),
  subscribed: fc.option(fc.boolean(), { nil: undefined }),
  lists: fc.dictionary(fc.constantFrom('l1', 'l2'), fc.boolean(), { maxKeys: 2 }),
  plan: fc.option(fc.constantFrom('api', null), { nil: undefined }),
});
type Spoken = typeof api extends fc.Arbitrary<infer T> ? T : never;
type Step = { webhook: Happening } | { api: Spoken };
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: person.map(webhook => ({ webhook })) },
  { weight: 2, arbitrary: api.map(spoken => ({ api: spoken })) },
);

/** An API write as its word, with its own time: only its arrival is shuffled. */
function word(s: Spoken, n: number, ns: string): { id: string; word: Word } {
  const k = factKey(NOW - 1000 + s.at, 2, `${ns}${n}`);
  const mail = `${ns}${s.email}`;
  const user = s.user === null ? null : `${ns}${s.user}`;
  const write = s.kind === 'write';
  const claim = write && s.claim;
  return {
    id: user === null ? `api:@${mail}` : `api:user:${user}`,
    word: {
      k,
      links: { [`email:${mail}`]: claim || user === null ? k : '', ...(user !== null && { [`user:${user}`]: k }) },
      email: write && (claim || user === null) ? mail : undefined,
      claim,
      userId: claim ? (user ?? undefined) : undefined,
      origin: 'API',
      subscribed: s.kind === 'erase' ? undefined : s.subscribed,
      ...(write && { firstName: s.firstName, source: s.source, userGroup: s.group }),
      properties: write && s.plan !== undefined ? { plan: s.plan } : {},
      lists: write ? s.lists : {},
      erase: s.kind === 'erase',
    },
  };
}

async function take(tx: Tx, each: Step, n: number, ns: string): Promise<void> {
  if ('webhook' in each) await tell(tx, told(each.webhook, n, ns));
  else {
    const { id, word: said } = word(each.api, n, ns);
    await applyWord(tx, id, said, NOW);
  }
}

const RANKS: Record<string, Rank> = { created: 0, updated: 1, deleted: 3 };

/** A happening as a fact in a namespace of its own, so that thousands of runs share one database. */
function told(h: Happening, n: number, ns: string): Told {
  const auth = h.provider === 'clerk' || h.provider === 'supabase';
  const own = (text: string | null) => (text === null ? null : `${ns}${text}`);
  const addressOnly = h.kind === 'guest';
  const deletion = h.kind === 'deleted';
  const isPerson = ['created', 'updated', 'deleted'].includes(h.kind);
  const withEmail = h.kind !== 'copyNoEmail' && h.kind !== 'alias' && !(deletion && auth);
  return {
    provider: h.provider,
    id: `${ns}${n}`,
    properties: h.plan && !deletion ? { plan: h.plan } : {},
    settings: { mailingLists: h.lists, userGroup: h.group, onDelete: h.onDelete },
    fact: {
      authority: isPerson ? 'person' : 'copy',
      rank: RANKS[h.kind] ?? 2,
      at: NOW - 1000 + h.at,
      personId: addressOnly || h.kind === 'alias' ? null : `${ns}${h.provider}${h.who}`,
      aliases: h.kind === 'alias' || (h.kind === 'copy' && h.external) ? [`${ns}pi${h.external ?? h.who}`] : [],
      email: withEmail ? own(addressOnly ? (h.email ?? 'a@x.co') : h.email) : null,
      formerEmail: h.kind === 'updated' && !auth ? own(h.formerEmail) : null,
      firstName: isPerson || h.kind === 'copy' ? h.firstName : null,
      lastName: isPerson ? h.lastName : null,
      userId:
        auth && isPerson
          ? `${ns}${h.provider}${h.who}`
          : h.provider === 'polar' && isPerson
            ? own(h.external ? `clerk${h.external}` : null)
            : null,
      deletion,
    },
  };
}

async function contactsOf(store: Store, ns: string) {
  return store.read(async tx => {
    const rows = await tx
      .select()
      .from(contacts)
      .where(like(contacts.email, `${ns}%`))
      .orderBy(asc(contacts.email));
    const members = await tx
      .select()
      .from(memberships)
      .where(
        inArray(
          memberships.contactId,
          rows.map(row => row.id),
        ),
      );
    const strip = (text: string | null) => text?.replaceAll(ns, '') ?? null;
    return rows.map(row => ({
      email: strip(row.email),
      userId: strip(row.userId),
      names: [row.firstName, row.lastName],
      subscribed: row.subscribed,
      userGroup: row.userGroup,
      source: row.source,
      properties: row.properties,
      lists: members
        .filter(m => m.contactId === row.id)
        .map(m => m.listId)
        .sort(),
    }));
  });
}

eachBackend('histories', open => {
  test('shuffled histories give the contacts of the ordered one', async () => {
    const store = await open();
    const numRuns = RUNS[store.kind];
    console.log(`histories on ${store.kind}: SEED=${SEED} HISTORY_RUNS=${numRuns}`);
    await store.write(async tx => {
      for (const id of ['l1', 'l2']) {
        await tx.insert(lists).values({ id, name: id, description: null, isPublic: false, createdAt: 0 });
      }
    });
    let run = 0;
    const shuffled = fc.array(step, { minLength: 2, maxLength: 9 }).chain(history =>
      fc.tuple(
        fc.constant(history),
        fc.shuffledSubarray(
          history.flatMap((_, i) => [i, i]),
          { minLength: history.length * 2 },
        ),
      ),
    );
    await fc.assert(
      fc.asyncProperty(shuffled, async ([history, order]) => {
        run++;
        const a = `a${String(run).padStart(7, '0')}-`;
        const b = `b${String(run).padStart(7, '0')}-`;
        const key = (h: Step, n: number) => {
          if ('api' in h) return word(h.api, n, a).word.k;
          const t = told(h.webhook, n, a);
          const f = fact(t.fact);
          return factKey(f.at, f.rank, t.id);
        };
        const ordered = history.map((h, n) => ({ h, n })).sort((x, y) => (key(x.h, x.n) < key(y.h, y.n) ? -1 : 1));
        await store.write(async tx => {
          for (const { h, n } of ordered) await take(tx, h, n, a);
        });
        await store.write(async tx => {
          for (const n of order) await take(tx, history[n]!, n, b);
        });
        expect(await contactsOf(store, b)).toEqual(await contactsOf(store, a));
      }),
      { numRuns, seed: SEED },
    );
  }, 600_000);
});
