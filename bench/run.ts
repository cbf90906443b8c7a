// `bun run bench`: load from processes of their own against the built binary, beside another way to do the same, in one run.
//
//   bun run bench                        both loads on SQLite, beside the handler one would write by hand (handler.ts)
//   bun run bench --database postgres    both loads on PostgreSQL, beside stripe-sync-engine (peers/)
//   bun run bench --identities           one person with many identities, also with --database postgres
//   bun run bench --person               long work about one person: merging, releasing, erasing (SQLite)
//   bun run bench --scaling              one to three instances, quick and slow commits, one person, memory: only with --database postgres
//   bun run bench --more                 slow disks, a full log, start-up, memory, instances, also with --database postgres
//
//   --quick            one run with fewer webhooks, smaller tables
//   --runs 3           alternating runs; every number is their median
//   --count 12000      webhooks of a run, as fast as they are answered, after --warmup 3000
//   --seconds 5        how long the load of 1,000 a second lasts
//   --runtime node     what runs stripe-sync-engine: node or bun; --connections 10: its connections to the database
//   --max 10000        the most identities; --cap 60: seconds that a row of that table may take
//   --rows 200000      deliveries of the one person; --cap 200: seconds that a row of that table may take
//
// The loads: "new people", each webhook about somebody new; "bursts", three at once about each person (customer created or updated,
// checkout, invoice), every second person known before.
import { parseArgs } from 'node:util';
import { Postgres } from '../test/support/postgres.ts';
import { compare } from './compare.ts';
import { identities } from './identities.ts';
import { machine } from './machine.ts';
import { more } from './more.ts';
import { longWork } from './person.ts';
import { scaling } from './scaling.ts';
import { installPeer, PEER, startHandler, startInlet, startPeer } from './servers.ts';

const { values } = parseArgs({
  options: {
    database: { type: 'string', default: 'sqlite' },
    identities: { type: 'boolean', default: false },
    person: { type: 'boolean', default: false },
    more: { type: 'boolean', default: false },
    scaling: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    runs: { type: 'string' },
    count: { type: 'string' },
    warmup: { type: 'string' },
    seconds: { type: 'string' },
    runtime: { type: 'string', default: Bun.which('node') ? 'node' : 'bun' },
    connections: { type: 'string', default: '10' },
    max: { type: 'string' },
    cap: { type: 'string' },
    rows: { type: 'string' },
  },
});
const { quick } = values;
const size = {
  runs: Number(values.runs ?? (quick ? 1 : 3)),
  count: Number(values.count ?? (quick ? 4_000 : 12_000)),
  warmup: Number(values.warmup ?? (quick ? 1_000 : 3_000)),
  seconds: Number(values.seconds ?? (quick ? 3 : 5)),
};
const capMs = 1000 * Number(values.cap ?? (quick ? 15 : values.person ? 200 : 60));
const server =
  values.database === 'postgres' ? await Postgres.start(['shared_buffers=256MB', 'max_connections=200']) : null;

async function loads(): Promise<string> {
  const inlet = { name: 'Inlet', start: () => startInlet({ server }) };
  if (!server) return compare([{ name: 'hand-written handler', start: startHandler }, inlet], size, server);
  const { runtime } = values;
  const connections = Number(values.connections);
  const name = `stripe-sync-engine ${await installPeer()}`;
  const started = Bun.spawnSync([runtime, '--version']).stdout.toString().trim();
  const peer = { name, start: () => startPeer(server, runtime, connections) };
  return `${await compare([peer, inlet], size, server)}\n\n${PEER} under ${runtime} ${started}, ${connections} connections to the database.`;
}

if (values.scaling && !server)
  throw new Error('--scaling is about instances that share a server: add --database postgres');
const begun = performance.now();
const result =
  values.scaling && server
    ? await scaling(server, quick)
    : values.identities
      ? await identities({ server, max: Number(values.max ?? (quick ? 1_000 : 10_000)), capMs })
      : values.person
        ? await longWork({ rows: Number(values.rows ?? (quick ? 20_000 : 200_000)), capMs })
        : values.more
          ? await more({ server, quick })
          : await loads();
console.log(`\n${await machine(server)}`);
const how =
  values.scaling || values.identities || values.person || values.more
    ? ''
    : `; medians of ${size.runs} alternating runs`;
console.log(`Took ${Math.round((performance.now() - begun) / 1000)} s${how}.\n\n${result}`);
await server?.remove();
process.exit(0);
