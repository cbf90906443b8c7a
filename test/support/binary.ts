import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = join(import.meta.dir, '../..');
const START_LIMIT_MS = 15_000;

const newest = (path: string): number => {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat?.isDirectory()) return stat?.mtimeMs ?? 0;
  return Math.max(0, ...readdirSync(path).map(name => newest(join(path, name))));
};

/** The built executable; built first when a source is newer. */
export function binary(): string {
  const file = join(ROOT, 'dist/inlet');
  const sources = Math.max(...['src', 'migrations', 'package.json', 'bun.lock'].map(name => newest(join(ROOT, name))));
  if (newest(file) < sources) {
    mkdirSync(join(ROOT, 'dist'), { recursive: true });
    const built = Bun.spawnSync([process.execPath, 'src/build/build.ts'], { cwd: ROOT });
    if (built.exitCode !== 0) throw new Error(`The build failed:\n${built.stderr}`);
  }
  return file;
}

/** An empty folder of its own, removed when the tests end. */
export function emptyFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'inlet-run-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() =>
        address && typeof address === 'object' ? resolve(address.port) : reject(new Error('no port')),
      );
    });
  });
}

type Variables = Record<string, string>;
const cleanEnv = (extra: Variables) => ({ PATH: process.env.PATH ?? '', HOME: '/nonexistent', ...extra });

/** Runs one command to its end in `cwd`. */
export async function inlet(args: string[], options: { cwd: string; env?: Variables; stdin?: string }) {
  const child = Bun.spawn([binary(), ...args], {
    cwd: options.cwd,
    env: cleanEnv(options.env ?? {}),
    stdin: options.stdin === undefined ? 'ignore' : new TextEncoder().encode(options.stdin),
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { code, out, err };
}

export interface Running {
  url: string;
  /** The API key that this start printed; null when it printed none. */
  key: string | null;
  port: number;
  pid: number;
  /** All of stdout and stderr so far. */
  output(): string;
  /** SIGTERM; the exit code. */
  stop(): Promise<number>;
  kill9(): Promise<void>;
  /** The exit code, once it ended by itself or was ended. */
  exited: Promise<number>;
}

const alive = new Set<{ kill(signal: NodeJS.Signals): void }>();
process.on('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
});

/** Starts the server in `cwd` and waits until it says that it listens. @throws Error with its output when it ends first */
export async function start(options: {
  cwd: string;
  args?: string[];
  env?: Variables;
  port?: number;
}): Promise<Running> {
  const port = options.port ?? (await freePort());
  const child = Bun.spawn([binary(), '--port', String(port), ...(options.args ?? [])], {
    cwd: options.cwd,
    env: cleanEnv(options.env ?? {}),
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  });
  alive.add(child);
  let text = '';
  const listening = new Promise<string>((resolve, reject) => {
    const collect = async (stream: ReadableStream<Uint8Array>) => {
      const decoder = new TextDecoder();
      for await (const chunk of stream) {
        text += decoder.decode(chunk, { stream: true });
        const found = text.match(/listening on (\S+)[\s\S]*? next .*\n/)?.[1];
        if (found) resolve(found);
      }
    };
    Promise.all([collect(child.stdout), collect(child.stderr)]).then(
      () => reject(new Error(`The server ended before it listened:\n${text}`)),
      reject,
    );
    setTimeout(() => reject(new Error(`The server did not listen in time:\n${text}`)), START_LIMIT_MS).unref();
  });
  const end = async (signal: NodeJS.Signals) => {
    child.kill(signal);
    const code = await child.exited;
    alive.delete(child);
    return code;
  };
  const url = await listening;
  return {
    url,
    key: text.match(/API key +(inlet_\w+)/)?.[1] ?? null,
    port,
    pid: child.pid,
    output: () => text,
    stop: () => end('SIGTERM'),
    kill9: async () => void (await end('SIGKILL')),
    exited: child.exited,
  };
}
