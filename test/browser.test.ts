import { afterAll, expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { API_KEY } from './support/app.ts';
import { emptyFolder, start } from './support/binary.ts';

const path = process.env.CHROMIUM ?? '/usr/bin/chromium';
const present = existsSync(path);
if (!present)
  console.log(`browser: no Chromium at ${path}, so Swagger UI is not tested in a browser (set CHROMIUM to its path)`);

let stop = async () => {};
afterAll(() => stop());

test.skipIf(!present)(
  'Swagger UI works offline: Authorize, a reload keeps the key, Try it out makes an endpoint, no CSP violation, no other host',
  async () => {
    const server = await start({ cwd: emptyFolder(), env: { INLET_API_KEY: API_KEY } });
    const flags = [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ];
    const browser = await chromium.launch({ executablePath: path, headless: true, args: flags });
    stop = async () => {
      await browser.close();
      await server.stop();
    };
    const page = await browser.newPage();
    const trouble: string[] = [];
    page.on('console', message => {
      if (message.type() === 'error') trouble.push(message.text());
    });
    page.on('pageerror', error => trouble.push(String(error)));
    page.on('request', request => {
      if (!request.url().startsWith(server.url) && !request.url().startsWith('data:'))
        trouble.push(`asked ${request.url()}`);
    });
    await page.goto(`${server.url}/swagger`);
    await page.getByRole('button', { name: 'Authorize' }).click();
    await page.locator('.auth-container input').first().fill(API_KEY);
    await page.locator('.auth-btn-wrapper button[type=submit]').click();
    await page.locator('.auth-btn-wrapper .btn-done').click();
    await page.reload();
    const operation = page.locator('.opblock-post', { has: page.locator('[data-path="/api/v1/endpoints"]') }).first();
    await operation.locator('.opblock-summary').click();
    await operation.getByRole('button', { name: 'Execute' }).click();
    const status = operation.locator('.live-responses-table tbody .response-col_status').first();
    await status.waitFor();
    expect((await status.textContent())?.trim()).toStartWith('201');
    const listed = await fetch(`${server.url}/api/v1/endpoints`, { headers: { authorization: `Bearer ${API_KEY}` } });
    expect(((await listed.json()) as { data: unknown[] }).data).toHaveLength(1);
    expect(trouble).toEqual([]);
  },
  60_000,
);
