import { existsSync } from 'node:fs';
import { chromium, type Page } from 'playwright-core';

const path = process.env.CHROMIUM ?? '/usr/bin/chromium';
/** Whether there is a Chromium to test in. */
export const hasBrowser = existsSync(path);
if (!hasBrowser)
  console.log(`browser: no Chromium at ${path}, so nothing is tested in a browser (set CHROMIUM to its path)`);

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** What a page must not do: errors, breaches of its CSP, questions to another host. */
export interface Watched {
  page: Page;
  trouble: string[];
  close(): Promise<void>;
}

/** A browser with one page; `own` is how the addresses begin that it may ask. */
export async function openBrowser(own: string): Promise<Watched> {
  const browser = await chromium.launch({ executablePath: path, headless: true, args: FLAGS });
  const page = await browser.newPage();
  const trouble: string[] = [];
  page.on('console', message => {
    if (message.type() === 'error') trouble.push(message.text());
  });
  page.on('pageerror', error => trouble.push(String(error)));
  page.on('request', request => {
    if (!request.url().startsWith(own) && !request.url().startsWith('data:')) trouble.push(`asked ${request.url()}`);
  });
  await page.exposeFunction('noteViolation', (what: string) => trouble.push(`CSP: ${what}`));
  await page.addInitScript(
    `addEventListener('securitypolicyviolation', e => noteViolation(e.violatedDirective + ' ' + e.blockedURI))`,
  );
  return { page, trouble, close: () => browser.close() };
}
