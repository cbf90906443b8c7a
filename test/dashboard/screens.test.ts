import { afterAll, expect, test } from 'bun:test';
import type { Page } from 'playwright-core';
import { hasBrowser } from '../support/browser.ts';
import { closeAfterwards, eachDatabase, findBarriers, openDashboard, signIn } from '../support/dashboard.ts';
import { smtpSink } from '../support/smtp.ts';
import { fillDemo } from './demo.ts';

closeAfterwards();
const sinks: { close(): Promise<void> }[] = [];
afterAll(async () => {
  for (const sink of sinks) await sink.close();
});

const HOSTILE = '"><img src=x onerror=hurt()><script>hurt()</script>{{ 7 * 7 }}';

/** Waits until a screen shows what it has asked for; the live log goes on asking. */
async function settle(page: Page): Promise<void> {
  for (let tries = 0; tries < 40 && (await page.locator('main .loading').count()); tries++)
    await page.waitForTimeout(50);
}

eachDatabase('every screen', kind => {
  test.skipIf(!hasBrowser)(
    'has no barrier in either colour scheme, asks nobody else, and is there for who may only read',
    async () => {
      const smtp = await smtpSink();
      sinks.push(smtp);
      const told = await openDashboard(kind, {
        INLET_SMTP_URL: `smtp://127.0.0.1:${smtp.port}`,
        INLET_MAIL_FROM: 'Acme <hello@example.com>',
      });
      const { page, trouble, api, visit } = told;
      const screens = Object.values(await fillDemo(told));
      const look = async (screen: string) => {
        await visit(screen);
        await page.locator('main h1').waitFor();
        await settle(page);
        expect(await page.locator('main .failure').allTextContents()).toEqual([]);
        expect(
          await page.locator('main h1').evaluate(h1 => h1 === Reflect.get(globalThis, 'document').activeElement),
        ).toBe(true);
      };
      for (const screen of screens) {
        await look(screen);
        expect([screen, ...(await findBarriers(page))]).toEqual([screen]);
      }
      expect(trouble).toEqual([]);
      const { key } = await api('POST', '/keys', { name: 'eyes', scope: 'read' });
      await signIn(told, key);
      for (const screen of screens) {
        await look(screen);
        expect([screen, await page.locator('main .main, main .bad:is(button)').count()]).toEqual([screen, 0]);
      }
      expect(trouble).toEqual([]);
    },
    180_000,
  );

  test.skipIf(!hasBrowser)(
    'shows hostile names, payloads and types as what they are: text',
    async () => {
      const { page, trouble, api, visit } = await openDashboard(kind);
      await page.evaluate('window.hurt = () => { window.isHurt = true; }');
      await api('POST', '/lists', { name: HOSTILE });
      const endpoint = await api('POST', '/endpoints', {
        ...{ provider: 'supabase', name: HOSTILE.slice(0, 100) },
        secret: 'supabase-header-secret-0123456789',
      });
      const answer = await fetch(endpoint.url, {
        method: 'POST',
        headers: { 'x-inlet-secret': 'supabase-header-secret-0123456789', 'content-type': 'application/json' },
        body: JSON.stringify({
          ...{ type: 'INSERT', table: 'users', schema: 'auth', old_record: null },
          record: {
            ...{
              id: '6f3f7d0e-0000-4000-8000-000000000001',
              email: 'eve@example.com',
              created_at: '2026-11-01T12:00:00Z',
            },
            ...{ updated_at: '2026-11-01T12:00:00Z', raw_user_meta_data: { full_name: HOSTILE, first_name: HOSTILE } },
          },
        }),
      });
      expect(answer.status).toBe(200);
      await fetch(endpoint.url, {
        method: 'POST',
        headers: { 'x-inlet-secret': 'supabase-header-secret-0123456789', 'content-type': 'application/json' },
        body: JSON.stringify({ type: HOSTILE, table: HOSTILE }),
      });
      const workflow = await api('POST', '/workflows', { name: HOSTILE, description: HOSTILE });
      await api('PUT', '/contacts/update', { email: 'eve@example.com', lastName: HOSTILE, userGroup: HOSTILE });
      await api('POST', '/events/send', { email: 'eve@example.com', eventName: HOSTILE.slice(0, 60) });
      const [contact] = (await api('GET', '/contacts')).data;
      const deliveries = (await api('GET', '/deliveries')).data as { id: string }[];
      const message = await api('POST', '/email-messages', {
        subject: HOSTILE.replace(/{{.*}}/, ''),
        html: '<p>x</p>',
      });
      for (const screen of [
        ...[
          '/endpoints',
          `/endpoints/${endpoint.id}`,
          '/deliveries',
          ...deliveries.map(each => `/deliveries/${each.id}`),
        ],
        ...['/contacts', `/contacts/${contact.id}`, `/contacts?name=${encodeURIComponent(HOSTILE)}`, '/settings/lists'],
        ...['/settings/events', '/workflows', `/workflows/${workflow.id}`, '/messages', `/messages/${message.id}`],
        ...[`/${encodeURIComponent(HOSTILE)}`, `/suppressions?email=${encodeURIComponent('eve@example.com')}`],
      ]) {
        await visit(screen);
        await page.locator('main h1').waitFor();
        await settle(page);
        expect(await page.locator('img, main script').count()).toBe(0);
      }
      expect(await page.evaluate('window.isHurt')).toBeUndefined();
      expect(trouble).toEqual([]);
    },
    180_000,
  );
});
