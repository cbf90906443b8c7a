import type { Config } from '../config.ts';
import type { Store } from '../db/store.ts';
import { invalid } from '../errors.ts';
import {
  addSecret,
  createEndpoint,
  type Deps,
  deleteEndpoint,
  type EndpointRow,
  getEndpoint,
  listEndpoints,
} from '../inbound/endpoints.ts';
import { viewEndpoint } from '../inbound/endpointView.ts';
import { suggestWord } from '../nearest.ts';
import { allProviders, findProvider } from '../providers/index.ts';
import type { Invocation } from './command.ts';
import { writeNoted } from './noteChange.ts';
import { openSealer, readInvocationConfig, useStore } from './open.ts';
import { formatJson, formatTable, stripControls } from './print.ts';
import { readSecret, readSecretFrom } from './prompt.ts';

type Shown = Awaited<ReturnType<typeof viewEndpoint>> & { secretHeader?: { name: string; value: string } };

const makeDeps = async (config: Config, store: Store): Promise<Deps> => ({
  sealer: await openSealer(config, store),
  now: Date.now(),
  publicUrl: config.publicUrl,
});

const view = (config: Config, store: Store, row: EndpointRow): Promise<Shown> =>
  store.read(tx => viewEndpoint(tx, { now: Date.now(), publicUrl: config.publicUrl }, row));

/** What to do in the provider's dashboard, with this endpoint's values filled in. */
function describeSetup(endpoint: Shown): string[] {
  const header = endpoint.secretHeader;
  const steps = findProvider(endpoint.provider)?.setup ?? [];
  return steps.map((step, n) => {
    const filled = step.replaceAll('{url}', endpoint.url);
    return `  ${n + 1}. ${header ? filled.replaceAll('{secretHeader}', `${header.name}: ${header.value}`) : filled}`;
  });
}

function describe(endpoint: Shown): string {
  const secrets = endpoint.secrets.map(s => `${s.hint} (${s.id}${s.expiresAt ? `, until ${s.expiresAt}` : ''})`);
  const rows: [string, string | null][] = [
    ['id', endpoint.id],
    ['provider', endpoint.provider],
    ['name', endpoint.name],
    ['URL', endpoint.url],
    ['state', endpoint.state],
    ['secrets', secrets.join(', ') || 'none yet'],
    ['last received', endpoint.lastReceivedAt],
    ['last rejected', endpoint.lastRejected && `${endpoint.lastRejected.at}: ${endpoint.lastRejected.cause}`],
    ['next step', endpoint.nextStep],
    ...endpoint.notes.map((note): [string, string] => ['note', note]),
  ];
  return rows.flatMap(([title, value]) => (value ? [`${title.padEnd(14)}${stripControls(value)}`] : [])).join('\n');
}

function checkProvider(id: string): void {
  const ids = allProviders.map(p => p.id);
  if (!ids.includes(id)) throw invalid(`"${id.slice(0, 60)}" is none of ${ids.join(', ')}.${suggestWord(id, ids)}`);
}

export async function add(i: Invocation): Promise<number> {
  const [provider = ''] = i.args;
  const file = i.options['secret-file'];
  const config = readInvocationConfig(i);
  checkProvider(provider);
  const endpoint = await useStore(config, async store => {
    const secret = file === undefined ? undefined : await readSecretFrom(file);
    const deps = await makeDeps(config, store);
    const { row, made } = await writeNoted(store, { action: 'endpoint.create', subject: 'endpoint' }, tx =>
      createEndpoint(tx, deps, { provider, name: i.options.name, secret }),
    );
    const shown = await view(config, store, row);
    if (made !== null) shown.secretHeader = { name: String(row.settings.headerName ?? 'x-inlet-secret'), value: made };
    return shown;
  });
  if (i.switches.has('json')) {
    i.io.out(formatJson(endpoint));
    return 0;
  }
  i.io.out(describe(endpoint));
  i.io.out(['', 'Set it up:', ...describeSetup(endpoint)].join('\n'));
  if (endpoint.secretHeader) i.io.out('The value of the header is shown only this once.');
  return 0;
}

export async function list(i: Invocation): Promise<number> {
  const config = readInvocationConfig(i);
  const shown = await useStore(config, async store => {
    const rows = await store.read(listEndpoints);
    return Promise.all(rows.map(row => view(config, store, row)));
  });
  const cells = shown.map(e => [e.id, e.provider, e.name, e.state, e.url]);
  if (i.switches.has('json')) i.io.out(formatJson(shown));
  else if (!shown.length) i.io.out('No endpoints yet. Make one: inlet endpoints add stripe');
  else i.io.out(formatTable(['ID', 'PROVIDER', 'NAME', 'STATE', 'URL'], cells));
  return 0;
}

export async function show(i: Invocation): Promise<number> {
  const [id = ''] = i.args;
  const config = readInvocationConfig(i);
  const endpoint = await useStore(config, async store =>
    view(config, store, await store.read(tx => getEndpoint(tx, id))),
  );
  i.io.out(i.switches.has('json') ? formatJson(endpoint) : describe(endpoint));
  return 0;
}

export async function remove(i: Invocation): Promise<number> {
  const [id = ''] = i.args;
  await useStore(readInvocationConfig(i), store =>
    writeNoted(store, { action: 'endpoint.delete', subject: 'endpoint', target: id }, tx => deleteEndpoint(tx, id)),
  );
  i.io.out(`Removed ${id}. Remove its URL at the provider too: what it still sends is answered 404.`);
  return 0;
}

export async function setSecret(i: Invocation): Promise<number> {
  const [id = ''] = i.args;
  const config = readInvocationConfig(i);
  const endpoint = await useStore(config, async store => {
    const row = await store.read(tx => getEndpoint(tx, id)); // a mistyped id is told before the secret is asked for
    const secret = await readSecret(i.options['secret-file']);
    const deps = await makeDeps(config, store);
    await writeNoted(store, { action: 'endpoint.secret.add', subject: 'endpoint', target: id }, tx =>
      addSecret(tx, deps, id, secret, null),
    );
    return view(config, store, row);
  });
  i.io.out(describe(endpoint));
  return 0;
}
