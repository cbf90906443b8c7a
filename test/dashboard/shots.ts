/*
 * Pictures of every screen, light and dark, in dist/shots: `bun run shots`.
 */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { closeAll, openDashboard } from '../support/dashboard.ts';
import { smtpSink } from '../support/smtp.ts';
import { fillDemo } from './demo.ts';

const FOLDER = join(import.meta.dir, '../../dist/shots');
const SIZE = { width: 1280, height: 900 };
const SETTLED_MS = 1000;

const smtp = await smtpSink();
const { page, api, visit } = await openDashboard('sqlite', {
  INLET_SMTP_URL: `smtp://127.0.0.1:${smtp.port}`,
  INLET_MAIL_FROM: 'Acme <hello@example.com>',
});
mkdirSync(FOLDER, { recursive: true });
await page.setViewportSize(SIZE);
const screens = Object.entries(await fillDemo({ api }));
for (const colorScheme of ['light', 'dark'] as const) {
  await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
  for (const [name, path] of screens) {
    await visit(path);
    await page.reload();
    await page.waitForTimeout(SETTLED_MS);
    await page.screenshot({ path: join(FOLDER, `${name}-${colorScheme}.png`) });
  }
}
await closeAll();
await smtp.close();
console.log(`${screens.length * 2} pictures are in ${FOLDER}`);
process.exit(0);
