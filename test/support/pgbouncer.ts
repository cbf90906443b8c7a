import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asUser, freePort } from './postgres.ts';

/** Null: it is not installed. */
export const pgbouncer = Bun.which('pgbouncer', { PATH: `${process.env.PATH}:/usr/sbin:/usr/local/sbin` });

export interface Pooler extends AsyncDisposable {
  /** The URL of the same database, through the pooler. */
  url: string;
}

/** PgBouncer before the database of `databaseUrl`, with settings such as `pool_mode: 'session'`. */
export async function startPgbouncer(databaseUrl: string, settings: Record<string, string>): Promise<Pooler> {
  if (pgbouncer === null) throw new Error('PgBouncer is not installed');
  const { hostname, port, username, pathname } = new URL(databaseUrl);
  const folder = mkdtempSync(join(tmpdir(), 'inlet-pgbouncer-'));
  chmodSync(folder, 0o755);
  const listenPort = await freePort();
  const all = { listen_addr: '127.0.0.1', listen_port: listenPort, unix_socket_dir: '', auth_type: 'any', ...settings };
  const lines = Object.entries(all).map(([name, value]) => `${name} = ${value}`);
  const file = join(folder, 'pgbouncer.ini');
  writeFileSync(
    file,
    ['[databases]', `* = host=${hostname} port=${port} user=${username}`, '[pgbouncer]', ...lines, ''].join('\n'),
  );
  const child = Bun.spawn(asUser([pgbouncer, file]), { stdout: 'ignore', stderr: 'pipe' });
  const url = `postgres://${username}@127.0.0.1:${listenPort}${pathname}`;
  for (let i = 0; ; i++) {
    const socket = await Bun.connect({ hostname: '127.0.0.1', port: listenPort, socket: { data() {} } }).catch(
      () => null,
    );
    socket?.end();
    if (socket) break;
    if (i > 200 || child.exitCode !== null) throw new Error(`PgBouncer did not start: ${await child.stderr.text()}`);
    await Bun.sleep(25);
  }
  return {
    url,
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM');
      await child.exited;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
