import { createApp, type Started } from '../app.ts';
import { type Config, formatUrlHost, readConfig } from '../config.ts';
import { hasData } from '../db/files.ts';
import { requirePort } from '../http/listen.ts';
import type { Log } from '../log.ts';
import type { Invocation, Io } from './command.ts';
import { EXIT_INTERNAL } from './exit.ts';
import { linkTo } from './login.ts';
import { describeSelf } from './print.ts';

const STOP_LIMIT_MS = 9500; // supervisors kill after 10 s

/** The flags that the next command needs too, so that it finds this data folder and shows this URL. */
const repeatFlags = (flags: Invocation['options']) =>
  ['data', 'host', 'port', 'public-url'].map(name => (flags[name] ? ` --${name} ${flags[name]}` : '')).join('');

function printWelcome(io: Io, config: Config, url: string, started: Started, flags: Invocation['options']): void {
  const { newApiKey, loginToken } = started;
  io.out(`Inlet is listening on ${url}`);
  if (config.dashboard)
    io.out(
      `  dashboard  ${linkTo(config.port === 0 ? url : config.publicUrl, loginToken)}   (${loginToken ? 'signs in once, within 15 minutes; later' : 'a link that signs in'}: ${describeSelf()} login)`,
    );
  io.out(`  API docs   ${url}/swagger`);
  if (newApiKey) io.out(`  API key    ${newApiKey}   (shown only this once: keep it now)`);
  if (newApiKey) io.out(`  data       ${config.dataDir}   (database and sealing key; back up both)`);
  io.out(`  next       ${describeSelf()} endpoints add stripe${repeatFlags(flags)}`);
}

/** Resolves with the first signal to stop. */
function waitForSignal(): Promise<string> {
  return new Promise(resolve => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => resolve(name));
  });
}

function stopOnBugs(log: Log): void {
  const die = (error: unknown) => {
    log.fatal({ err: error }, 'a bug in Inlet: stopping; a restart continues where the database is');
    process.exit(EXIT_INTERNAL);
  };
  process.on('uncaughtException', die);
  process.on('unhandledRejection', die);
}

/** Serves until a signal. Exit code 0 when everything in hand was finished in time. */
export async function serve({ io, options }: Invocation): Promise<number> {
  const { config, warnings } = readConfig(io.env, options, Boolean(process.stdout.isTTY));
  const stopping = waitForSignal();
  if (config.databaseUrl === null && !hasData(config.dataDir)) await requirePort(config);
  const app = await createApp(config);
  const { log } = app.ctx;
  let started: Started;
  try {
    started = await app.start();
  } catch (error) {
    await app.stop();
    throw error;
  }
  stopOnBugs(log);
  for (const warning of warnings) log.warn(warning);
  const port = new URL(started.url).port || '80';
  printWelcome(io, config, `http://${formatUrlHost(config.host)}:${port}`, started, options);
  const signal = await stopping;
  log.info({ signal }, 'stopping: finishing what is in hand');
  setTimeout(() => {
    log.error('not everything could be finished in time; it continues at the next start');
    process.exit(1);
  }, STOP_LIMIT_MS).unref();
  await app.stop();
  log.info('stopped');
  return 0;
}
