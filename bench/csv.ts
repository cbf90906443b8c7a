// `bun bench/csv.ts [--quick]`: import and export of CSV by the built binary: rows and MB a second, memory, and how long webhooks at
// 1,000 a second wait for their answer meanwhile.
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Running, start } from '../test/support/binary.ts';
import { SECRET } from './events.ts';
import { machine } from './machine.ts';
import { api, folder, KEY, load, ms, per, row, rss, spread } from './measure.ts';

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false } } });
const ROWS = values.quick ? 10_000 : 100_000;
const SECONDS = values.quick ? 3 : 10;
const MIB = 1_048_576;
const ENV = { INLET_API_KEY: KEY, INLET_RATE_LIMIT: '0', INLET_LOG_LEVEL: 'warn', INLET_LOG_FORMAT: 'json' };
const mib = (amount: number) => `${Math.round(amount)} MiB`;

interface Import {
  id: string;
  state: string;
  rows: number;
  failed: number;
}

const file = (prefix: string) => {
  const line = (i: number) =>
    `${prefix}${i}@example.com,Ada ${i},"Lovelace, ${i}",user_${prefix}${i},Customers,pro,${i},cus_${prefix}${i}\r\n`;
  const header = 'email,firstName,lastName,userId,userGroup,planName,seats,stripe\r\n';
  return header + Array.from({ length: ROWS }, (_, i) => line(i)).join('');
};

async function send(server: Running, text: string): Promise<Import> {
  const headers = { authorization: `Bearer ${KEY}`, 'content-type': 'text/csv' };
  const answer = await fetch(`${server.url}/api/v1/contacts/import`, { method: 'POST', headers, body: text });
  if (answer.status !== 201) throw new Error(await answer.text());
  return (await answer.json()) as Import;
}

/** Seconds until an import is done. */
async function finished(server: Running, { id }: Import, begun: number): Promise<number> {
  for (;;) {
    const { state, failed } = await api<Import>(server, 'GET', `/imports/${id}`);
    if (state === 'failed' || failed) throw new Error(`the import failed: ${failed}`);
    if (state === 'done') return (performance.now() - begun) / 1000;
    await Bun.sleep(50);
  }
}

/** Bytes of an export, read as they come. */
async function readAll(server: Running): Promise<number> {
  const answer = await fetch(`${server.url}/api/v1/contacts/export`, { headers: { authorization: `Bearer ${KEY}` } });
  let bytes = 0;
  for await (const piece of answer.body ?? []) bytes += piece.length;
  return bytes;
}

console.log(`${ROWS} rows; ${await machine(null)}\n`);
const server = await start({ cwd: mkdtempSync(join(folder, 'csv-')), env: ENV });
const { id } = await api<{ id: string }>(server, 'POST', '/endpoints', { provider: 'stripe', secret: SECRET });
const path = `/webhooks/${id}`;
const webhooks = () => load(server.port, path, { count: SECONDS * 1000, warmup: 500, rate: 1000 });
row('memory at the start', mib(rss(server.pid, 'VmRSS')));
row('acknowledgements at 1,000/s, nothing else', spread(await webhooks()));

const first = file('a');
const begun = performance.now();
const upload = await send(server, first);
row(`upload of ${(first.length / MIB).toFixed(1)} MiB`, ms(performance.now() - begun));
row('import', `${per(ROWS / (await finished(server, upload, begun)))} rows`);
row('memory, the most so far', mib(rss(server.pid, 'VmHWM')));
const exporting = performance.now();
const bytes = await readAll(server);
row('export', `${(bytes / MIB / ((performance.now() - exporting) / 1000)).toFixed(1)} MiB/s (${mib(bytes / MIB)})`);
row('memory, the most so far', mib(rss(server.pid, 'VmHWM')));

const during = await send(server, file('b'));
row('acknowledgements at 1,000/s while importing', spread(await webhooks()));
const { rows: done, state } = await api<Import>(server, 'GET', `/imports/${during.id}`);
row('rows imported meanwhile', `${done} (${state})`);
await finished(server, during, 0);
let reading = true;
const exports = (async () => {
  let sum = 0;
  while (reading) sum += await readAll(server);
  return sum;
})();
row('acknowledgements at 1,000/s while exporting', spread(await webhooks()));
reading = false;
row('exported meanwhile', mib((await exports) / MIB));
row('memory, the most of all', mib(rss(server.pid, 'VmHWM')));
await server.stop();
