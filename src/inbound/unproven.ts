import { query } from '../db/sets.ts';
import type { Tx } from '../db/store.ts';
import type { Provider } from '../providers/provider.ts';
import { isFact } from './decide.ts';
import { type EndpointRow, requireProvider } from './endpoints.ts';

const MAX_BODIES = 20;
const MAX_BODY = 65_536; // characters
const ENOUGH = 3; // sign-ups: fewer say little

/** What an endpoint's recent sign-ups say about the proof of their addresses. */
export interface SignUps {
  /** What the settings let in and what follows from it; null: they let in nobody without proof. */
  note: string | null;
  /** What to do, where the last ones all came without proof. */
  help: string | null;
}

/** Looks at an endpoint's sign-ups among the newest `window` deliveries of the log. */
export async function judgeSignUps(tx: Tx, row: EndpointRow, window: number): Promise<SignUps> {
  const provider = requireProvider(row.provider);
  const { unproven } = provider;
  const settings: unknown = provider.settings.parse(row.settings);
  if (!unproven?.isTaken(settings)) return { note: null, help: null };
  const count = await countUnproven(tx, row, provider, settings, window);
  return count < ENOUGH
    ? { note: `Sign-ups without proof of their address are let in. ${unproven.follows}`, help: null }
    : {
        note: `The last ${count} users who signed up have no proof of their address. ${unproven.follows}`,
        help: unproven.help,
      };
}

/** How many users the last sign-ups are, when nobody proved any of their addresses; else 0. */
async function countUnproven(
  tx: Tx,
  { id }: EndpointRow,
  provider: Provider,
  settings: unknown,
  window: number,
): Promise<number> {
  const types = provider.types.filter(each => !each.deletion).map(({ type }) => type);
  const rows = await query(
    tx,
    `select d.id, d.type, p.body from (select id, type, endpoint_id from deliveries order by id desc limit ?) d
       join payloads p on p.delivery_id = d.id
      where d.endpoint_id = ? and d.type in (${types.map(() => '?').join(', ')}) and length(p.body) < ?
      order by d.id desc limit ?`,
    [window, id, ...types, MAX_BODY, MAX_BODIES],
  );
  const people = new Set<string>();
  for (const [, type, text] of rows as [string, string, string][]) {
    const body: unknown = JSON.parse(text);
    const fact = provider.read(body, settings, { type, at: 0, externalId: null });
    if (!isFact(fact) || fact.personId === null || people.has(fact.personId)) continue;
    const lacks = provider.unproven?.lacksProof(body) ?? null;
    if (lacks === false) return 0;
    if (lacks) people.add(fact.personId);
  }
  return people.size;
}
