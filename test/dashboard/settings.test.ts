import { afterAll, expect, test } from 'bun:test';
import { hasBrowser } from '../support/browser.ts';
import { closeAfterwards, eachDatabase, findBarriers, openDashboard, signIn } from '../support/dashboard.ts';

closeAfterwards();
const servers: { stop(): unknown }[] = [];
afterAll(() => {
  for (const server of servers) server.stop();
});

eachDatabase('settings', kind => {
  test.skipIf(!hasBrowser)(
    'lists, properties, keys and sessions, outgoing webhooks with their attempts, jobs, the server; a session that only reads changes none of it',
    async () => {
      const heard: string[] = [];
      const receiver = Bun.serve({
        port: 0,
        async fetch(request) {
          heard.push(await request.text());
          return new Response('<b>thanks</b>', { status: heard.length === 1 ? 500 : 200 });
        },
      });
      servers.push(receiver);
      const told = await openDashboard(kind, { INLET_ALLOW_PRIVATE_TARGETS: 'true' });
      const { page, trouble, api, visit } = told;

      await visit('/settings/lists');
      await page.getByText('There are no lists yet').waitFor();
      await page.getByLabel('New list').fill('<b>News</b>');
      await page.getByLabel('New list').press('Enter');
      await page.getByRole('link', { name: '<b>News</b>' }).waitFor();
      await page.getByText('Change', { exact: true }).last().click();
      await page.getByLabel('Description').fill('once a month');
      await page.getByRole('button', { name: 'Save', exact: true }).click();
      await page.getByRole('cell', { name: 'once a month' }).waitFor();
      expect(await findBarriers(page)).toEqual([]);

      await api('PUT', '/contacts/update', { email: 'ada@example.com', seats: '7' });
      await visit('/settings/properties');
      await page.getByLabel('Type of seats').selectOption('number');
      await page.getByRole('button', { name: 'Show all values as this' }).click();
      await page.getByRole('button', { name: 'Show all values as this' }).waitFor({ state: 'detached' });
      expect(await findBarriers(page)).toEqual([]);
      await visit('/settings/jobs');
      await page.getByRole('cell', { name: 'retype' }).waitFor();
      expect(await findBarriers(page)).toEqual([]);

      await api('POST', '/events/send', {
        email: 'ada@example.com',
        eventName: '<i>paid</i>',
        eventProperties: { a: 1 },
      });
      await visit('/settings/events');
      await page.getByRole('cell', { name: '<i>paid</i>' }).waitFor();
      await page.getByLabel('Event').fill('other');
      await page.getByLabel('Event').press('Enter');
      await page.getByText('Nothing matches.').waitFor();
      expect(page.url()).toContain('name=other');

      await visit('/settings/webhooks');
      await page.getByLabel('URL').fill(`http://127.0.0.1:${receiver.port}/in`);
      await page.getByRole('button', { name: 'Send webhooks there' }).click();
      expect(await page.getByLabel('Secret to verify them with').inputValue()).toMatch(/^whsec_/);
      await page.getByRole('link', { name: `127.0.0.1:${receiver.port}` }).click();
      await page.getByRole('button', { name: 'Send a test' }).click();
      await page.getByRole('button', { name: 'Look again' }).waitFor();
      for (let tries = 0; tries < 100 && !(await page.getByText('<b>thanks</b>').count()); tries++) {
        await page.getByRole('button', { name: 'Look again' }).click();
        await page.waitForTimeout(50);
      }
      await page.getByText(/: 500 after/).waitFor();
      await page.getByRole('button', { name: 'Make it again' }).click();
      for (let tries = 0; tries < 100 && !(await page.getByText(/: 200 after/).count()); tries++) {
        await page.getByRole('button', { name: 'Look again' }).click();
        await page.waitForTimeout(50);
      }
      await page.getByText(/: 200 after/).waitFor();
      expect(heard).toHaveLength(2);
      expect(await findBarriers(page)).toEqual([]);

      await visit('/settings/server');
      await page.getByText('The server is well.').waitFor();
      await page.getByLabel('Mails in an hour').fill('50');
      await page.getByRole('button', { name: 'Save the limits' }).click();
      await page.waitForTimeout(200);
      expect((await api('GET', '/mail')).maxPerHour).toBe(50);
      expect(await findBarriers(page)).toEqual([]);

      await visit('/settings/keys');
      await page.getByLabel('Name of a new key').fill('eyes');
      await page.getByLabel('It may').selectOption('read');
      await page.getByRole('button', { name: 'Make the key' }).click();
      const key = await page.getByLabel('The new key').inputValue();
      expect(await findBarriers(page)).toEqual([]);
      await page.getByText('this one').waitFor();

      // the same, for who may only read
      await signIn(told, key);
      for (const screen of ['lists', 'properties', 'events', 'keys', 'webhooks', 'jobs', 'server']) {
        await visit(`/settings/${screen}`);
        await page.locator('main table, main .facts').first().waitFor();
        expect(await page.locator('main button:not([type=submit]), main input[required]').count()).toBe(0);
      }
      for (const screen of ['/mails', '/workflows', '/messages', '/transactional']) {
        await visit(screen);
        await page.locator('.empty').waitFor();
        expect(await page.locator('main .main, main .bad:is(button)').count()).toBe(0);
      }

      // revoked: its session ends with it
      const [{ id }] = await api('GET', '/keys');
      await api('DELETE', `/keys/${id}`);
      await visit('/contacts');
      await page.getByLabel('API key').waitFor();
      expect(trouble.filter(each => !each.includes('status of 401'))).toEqual([]);
    },
    120_000,
  );
});
