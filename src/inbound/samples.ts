import type { Context } from '../context.ts';
import { query, selectAmong } from '../db/sets.ts';
import type { Tx } from '../db/store.ts';
import { invalid } from '../errors.ts';
import { pick, pickAt } from '../providers/pick.ts';
import type { Provider } from '../providers/provider.ts';
import { formatTime } from '../time.ts';
import { parseBody } from './deliveries.ts';
import { getEndpoint, requireProvider } from './endpoints.ts';

const RECENT = 2000; // deliveries that are looked through for what is not written down yet
const MOST_PATHS = 500;
const MOST_DEPTH = 12;
const MOST_ITEMS = 3; // of an array
const EXAMPLE_LENGTH = 120; // characters
const KEY = /^[^.[\]]{1,100}$/; // others can't be named by a path

/** One place in a payload that a mapping can name. */
interface SamplePath {
  path: string;
  type: 'string' | 'number' | 'boolean';
  example: string | number | boolean | null;
  /** Its name says that it holds a secret: it is never stored. */
  withheld: boolean;
}

/** The paths of the last stored payload of a type; where none is stored, those of the provider's sample. @throws AppError notFound, invalid */
export async function describeSample(
  { store, now }: Pick<Context, 'store' | 'now'>,
  endpointId: string,
  asked?: string,
) {
  const found = await store.read(async tx => {
    const provider = requireProvider((await getEndpoint(tx, endpointId)).provider);
    const type = asked ?? provider.types[0]?.type ?? '';
    return { provider, type, stored: await findStored(tx, endpointId, type) };
  });
  const { provider, type, stored } = found;
  if (!provider.types.some(each => each.type === type))
    throw invalid('type: is not an event type of this provider. GET /api/v1/providers lists them.');
  const body = stored ? stored.body : provider.redact(provider.sample(type, 'ada@example.com', now()));
  return {
    type,
    source: stored ? ('delivery' as const) : ('sample' as const),
    deliveryId: stored?.id ?? null,
    receivedAt: stored ? formatTime(stored.receivedAt) : null,
    ...listPaths(body, provider),
  };
}

/** The newest delivery of a type whose payload is there. The list of arrivals names the last ones; what came since is looked for. */
async function findStored(tx: Tx, endpointId: string, type: string) {
  const known = await query(tx, 'select last_id from arrivals where endpoint_id = ? and type = ?', [endpointId, type]);
  const recent = await query(
    tx,
    `select id from (select id, endpoint_id, type from deliveries order by id desc limit ${RECENT}) as part where endpoint_id = ? and type = ? order by id desc limit 5`,
    [endpointId, type],
  );
  const ids = [...known, ...recent].map(row => row[0] as string);
  const text =
    'select p.delivery_id, p.body, d.received_at from payloads p join deliveries d on d.id = p.delivery_id where p.body is not null and p.delivery_id';
  const [row] = await selectAmong(tx, text, [...new Set(ids)], ' order by p.delivery_id desc limit 1');
  return row ? { id: row[0] as string, body: parseBody(row[1] as string), receivedAt: Number(row[2]) } : null;
}

function listPaths(body: unknown, provider: Provider): { paths: SamplePath[]; isCut: boolean } {
  const paths: SamplePath[] = [];
  const open: { path: string; depth: number }[] = [{ path: '', depth: 0 }];
  for (let here = open.shift(); here && paths.length < MOST_PATHS; here = open.shift()) {
    const value = here.path === '' ? body : pickAt(body, here.path);
    if (typeof value !== 'object' || value === null) {
      const shown = describePath(body, here.path, provider);
      if (shown) paths.push(shown);
      continue;
    }
    if (here.depth >= MOST_DEPTH) continue;
    const keys = Array.isArray(value) ? [...value.keys()].slice(0, MOST_ITEMS).map(String) : Object.keys(value);
    const inner = keys.filter(key => KEY.test(key)).map(key => (here.path === '' ? key : `${here.path}.${key}`));
    open.unshift(...inner.map(path => ({ path, depth: here.depth + 1 })));
  }
  return { paths, isCut: open.length > 0 };
}

function describePath(body: unknown, path: string, provider: Provider): SamplePath | null {
  const value = pick(body, path);
  if (value === undefined) return null;
  const withheld = provider.withholds?.(path) ?? false;
  const example = typeof value === 'string' ? value.slice(0, EXAMPLE_LENGTH) : value;
  return { path, type: typeof value as SamplePath['type'], example: withheld ? null : example, withheld };
}

/** Which types come in and are not applied, most first, with what to do about it. @throws AppError notFound */
export async function listIgnored({ store }: Pick<Context, 'store'>, endpointId: string) {
  const { provider, events, rows } = await store.read(async tx => {
    const endpoint = await getEndpoint(tx, endpointId);
    const text =
      "select type, amount, last_at, last_id, message from arrivals where endpoint_id = ? and outcome = 'ignored' order by amount desc, type limit 200";
    return {
      provider: requireProvider(endpoint.provider),
      events: endpoint.events,
      rows: await query(tx, text, [endpointId]),
    };
  });
  return rows.map(row => {
    const type = row[0] as string;
    const isKnown = provider.types.some(each => each.type === type);
    const isOff = isKnown && events[type]?.enabled === false;
    return {
      ...{ type, count: Number(row[1]), lastAt: formatTime(Number(row[2])), lastDeliveryId: row[3] as string },
      ...{
        message: row[4] as string,
        canBeApplied: isKnown,
        isOff,
        advice: describeAdvice(provider, type, isKnown, isOff),
      },
    };
  });
}

function describeAdvice({ name }: Provider, type: string, isKnown: boolean, isOff: boolean): string {
  if (isOff) return `Enable ${type} in the endpoint's events, then replay what came: POST /api/v1/deliveries/replay.`;
  if (isKnown) return `${type} is on; these were ignored for the reason in the message.`;
  return `Inlet has no use for ${type}. Untick it at ${name} to save traffic, or leave it: nothing of it is stored.`;
}
