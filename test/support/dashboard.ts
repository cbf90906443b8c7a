import { afterAll, describe } from 'bun:test';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';
import { type Answer, API_KEY } from './app.ts';
import { dropDatabase, postgresDatabase, withPostgres } from './backends.ts';
import { emptyFolder, start } from './binary.ts';
import { openBrowser } from './browser.ts';

type Kind = 'sqlite' | 'postgres';

/** Runs the same stories on every database: SQLite always, PostgreSQL where asked for. */
export function eachDatabase(name: string, tell: (kind: Kind) => void): void {
  describe(`${name} (sqlite)`, () => tell('sqlite'));
  if (withPostgres) describe(`${name} (postgres)`, () => tell('postgres'));
}

/** Calls the API by key. Gives what it answers; throws for a failure. */
async function callApi(url: string, method: string, path: string, body?: unknown): Promise<Answer['body']> {
  const answer = await fetch(`${url}/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${API_KEY}`, 'content-type': 'application/json' },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return answer.status === 204 ? null : answer.json();
}

type Api = (method: string, path: string, body?: unknown) => Promise<Answer['body']>;

interface Told {
  url: string;
  page: Page;
  /** Errors, breaches of the CSP, questions to another host. */
  trouble: string[];
  api: Api;
  /** Goes to a screen: `/mails?state=sent`. */
  visit(screen: string): Promise<void>;
}

const ends: (() => Promise<unknown>)[] = [];
/** What a screen looks like has nothing to do with the database: one of the two runs is scanned. */
let isScanned = true;

/** Variables that lead the executable to an empty database of this kind, which goes when the file's tests end. */
export async function makeDatabase(kind: Kind): Promise<Record<string, string>> {
  if (kind === 'sqlite') return {};
  const url = await postgresDatabase(false);
  ends.push(() => dropDatabase(url));
  return { INLET_DATABASE_URL: url, INLET_SECRET_KEY: Buffer.alloc(32, 7).toString('base64') };
}

/** The executable on an empty database, and a browser that is signed in with `key`, or with a key that may do everything. */
export async function openDashboard(kind: Kind, env: Record<string, string> = {}): Promise<Told> {
  isScanned = kind === 'sqlite';
  const database = await makeDatabase(kind);
  const server = await start({
    cwd: emptyFolder(),
    env: {
      INLET_API_KEY: API_KEY,
      INLET_RATE_LIMIT: '0',
      ...database,
      ...env,
    },
  });
  const { page, trouble, close } = await openBrowser(server.url);
  ends.push(async () => {
    await close();
    await server.stop();
  });
  page.setDefaultTimeout(15_000);
  const api: Api = (method, path, body) => callApi(server.url, method, path, body);
  const told = {
    ...{ url: server.url, page, trouble, api },
    visit: async (screen: string) => void (await page.goto(`${server.url}/_/#${screen}`)),
  };
  await signIn(told, API_KEY);
  return told;
}

/** Has something ended when the file's tests end, the latest first. */
export function endLater(end: () => Promise<unknown>): void {
  ends.push(end);
}

/** Ends every server and browser that was opened here. */
export async function closeAll(): Promise<void> {
  for (const end of ends.splice(0).reverse()) await end();
}

/** Ends what stories of this file have opened. */
export const closeAfterwards = (): void => afterAll(closeAll);

/** Signs in on the page, whoever was there before. */
export async function signIn(
  { page, url, trouble }: Pick<Told, 'page' | 'url' | 'trouble'>,
  key: string,
): Promise<void> {
  await page.context().clearCookies();
  await page.goto(`${url}/_/`);
  await page.reload();
  await page.getByLabel('API key').fill(key);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('navigation', { name: 'Screens' }).waitFor();
  // the browser's own word for the answer that nobody is signed in yet
  const others = trouble.filter(each => !each.includes('status of 401'));
  trouble.splice(0, trouble.length, ...others);
}

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

interface Finding {
  id: string;
  impact: string;
  nodes: { html: string; failureSummary: string }[];
}

/** What axe-core finds on the page as it stands that is serious or critical, light and dark. */
export async function findBarriers(page: Page): Promise<string[]> {
  const found: string[] = [];
  if (!isScanned) return found;
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await page.evaluate(AXE);
    const results = await page.evaluate<Finding[]>(
      'axe.run(document, { iframes: false, resultTypes: ["violations"] }).then(all => all.violations)',
    );
    for (const { id, impact, nodes } of results)
      if (impact === 'serious' || impact === 'critical')
        found.push(`${colorScheme} ${id}: ${nodes.map(each => each.html.slice(0, 200)).join(' | ')}`);
  }
  return found;
}
