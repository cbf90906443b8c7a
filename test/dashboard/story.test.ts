import { expect, test } from 'bun:test';
import { emptyFolder, inlet, start } from '../support/binary.ts';
import { hasBrowser, openBrowser } from '../support/browser.ts';
import { closeAfterwards, eachDatabase, endLater, makeDatabase } from '../support/dashboard.ts';

closeAfterwards();

const SECRET = 'whsec_0123456789abcdef0123456789abcdef';

eachDatabase('first steps', kind => {
  test.skipIf(!hasBrowser)(
    'from the link of the first start to an endpoint, a webhook that arrives by itself, its settings and its delivery',
    async () => {
      const cwd = emptyFolder();
      const env = await makeDatabase(kind);
      const server = await start({ cwd, env });
      const { page, trouble, close } = await openBrowser(server.url);
      endLater(async () => {
        await close();
        await server.stop();
      });
      page.setDefaultTimeout(15_000);
      const link = /dashboard +(\S+)/.exec(server.output())?.[1] ?? '';
      expect(link).toMatch(/\/_\/#\/login\/\w{50}$/);
      await page.goto(link);
      await page.getByRole('heading', { name: 'To set up' }).waitFor();
      expect(page.url()).not.toContain('login');
      await page.getByRole('navigation', { name: 'Screens' }).getByRole('link', { name: 'Endpoints' }).press('Enter');
      await page.getByText('An endpoint is the address').waitFor();

      // an endpoint, by keyboard where it matters
      await page.getByRole('link', { name: 'Add an endpoint' }).first().press('Enter');
      await page.getByLabel('Stripe').check();
      await page.getByLabel('Name').fill('<b>Production</b>');
      await page.getByLabel('Name').press('Enter');
      await page.getByRole('heading', { name: '<b>Production</b>', exact: true }).waitFor();
      const url = await page.getByLabel('URL for the provider').inputValue();
      expect(url).toMatch(/\/webhooks\/ep_\w+$/);
      await page.getByLabel('Secret', { exact: true }).fill('short');
      await page.getByRole('button', { name: 'Save the secret' }).click();
      await page.getByRole('alert').getByText('secret').waitFor();
      trouble.splice(0); // the browser's own word for the 400
      await page.getByLabel('Secret', { exact: true }).fill(SECRET);
      await page.getByRole('button', { name: 'Save the secret' }).click();
      await page.getByText('Waiting for the first webhook').waitFor();

      // a webhook from elsewhere turns it green without a reload
      const id = url.split('/').at(-1) ?? '';
      await inlet(['send-test', id, 'customer.created', '--email', 'ada@example.com', '--port', String(server.port)], {
        cwd,
        env,
      });
      await page.locator('.heading .chip', { hasText: 'live' }).waitFor();

      // what an event does, as a form
      await page.locator('summary', { hasText: 'customer.created' }).click();
      const form = page.getByRole('form', { name: 'Settings of customer.created' });
      await form.getByLabel('User group').fill('Customers');
      await form.getByLabel('New list').fill('News');
      await form.getByRole('button', { name: 'Make the list' }).click();
      await form.getByLabel('News').waitFor();
      await form.getByLabel('Fire an event').fill('signup');
      await form.getByLabel('Pick a field').last().selectOption({ label: 'data.object.object: customer' });
      await form.getByRole('button', { name: 'Map this field' }).last().click();
      await form.getByRole('button', { name: 'What would it do?' }).click();
      await form.getByText('Of the last 1 deliveries 1 would change their contact, 1 fire an event').waitFor();
      await form.getByText(/userGroup: nothing → Customers/).waitFor();
      await form.getByRole('button', { name: 'Save' }).click();
      await form.getByText('Saved.').waitFor();
      await page.getByText('group Customers · lists News · event signup').waitFor();

      // what arrives shows by itself, unless it is paused
      await page.getByRole('navigation', { name: 'Screens' }).getByRole('link', { name: 'Deliveries' }).click();
      await page.getByText('Live: what arrives').waitFor();
      const sendTest = (type: string, email: string) =>
        inlet(['send-test', id, type, '--email', email, '--port', String(server.port)], { cwd, env });
      await sendTest('customer.updated', 'live@example.com');
      await page.getByRole('link', { name: 'customer.updated' }).waitFor();
      await page.getByRole('button', { name: 'Pause' }).click();
      await sendTest('customer.deleted', 'live@example.com');
      await page.getByText('1 more came').waitFor();
      expect(await page.getByRole('link', { name: 'customer.deleted' }).count()).toBe(0);
      await page.getByRole('button', { name: 'Go on' }).click();
      await page.getByRole('link', { name: 'customer.deleted' }).waitFor();

      // the delivery, and applied again it follows the new settings
      await page.getByRole('navigation', { name: 'Screens' }).getByRole('link', { name: 'Deliveries' }).click();
      await page.getByLabel('Status').selectOption('processed');
      expect(page.url()).toContain('status=processed');
      await page.getByRole('link', { name: 'customer.created' }).click();
      await page.getByText('Made a new contact').waitFor();
      await page.locator('.provenance summary', { hasText: 'from this webhook' }).first().click();
      await page.getByText('Said by').first().waitFor();
      expect(await page.locator('pre').textContent()).toContain('ada@example.com');
      await page.locator('summary', { hasText: 'Apply it again' }).click();
      await page.getByRole('button', { name: 'Apply it again' }).click();
      await page.getByRole('button', { name: 'Look again' }).click();
      for (let tries = 0; tries < 50 && !(await page.getByText('Fired an event · signup').count()); tries++) {
        await page.getByRole('button', { name: 'Look again' }).click();
        await page.waitForTimeout(100);
      }
      await page.getByText('Fired an event · signup').waitFor();

      // the contact
      await page.getByRole('navigation', { name: 'Screens' }).getByRole('link', { name: 'Contacts' }).click();
      await page.getByRole('link', { name: 'ada@example.com' }).click();
      await page.getByText('Customers').first().waitFor();
      await page.getByText('News').first().waitFor();
      await page.getByRole('heading', { name: 'Activity' }).waitFor();
      await page.locator('.provenance summary', { hasText: 'Group' }).click();
      await page.locator('.provenance').getByRole('link', { name: 'customer.created' }).first().waitFor();

      // what is left to set up
      await page.getByRole('navigation', { name: 'Screens' }).getByRole('link', { name: 'Overview' }).click();
      await page.locator('.checklist .done', { hasText: 'first webhook' }).waitFor();
      await page.getByRole('link', { name: 'Make a first workflow.' }).waitFor();
      await page.getByRole('img', { name: /webhooks over time/ }).waitFor();

      // out, and in again with a key that may only read
      await page.getByRole('button', { name: 'Sign out' }).click();
      const key = (await inlet(['keys', 'create', 'eyes', '--read-only'], { cwd, env })).out.trim();
      await page.getByLabel('API key').fill(key);
      await page.getByRole('button', { name: 'Sign in' }).click();
      await page.getByText('read only').waitFor();
      await page.goto(`${server.url}/_/#/endpoints/${id}`);
      await page.getByRole('heading', { name: '<b>Production</b>', exact: true }).waitFor();
      await page.getByText('group Customers').waitFor();
      expect(await page.locator('main button, main form').count()).toBe(0);
      await page.goto(`${server.url}/_/#/deliveries`);
      await page.getByRole('link', { name: 'customer.created' }).click();
      await page.getByText('not shown to who may only read').waitFor();
      expect(trouble).toEqual([]);
    },
    120_000,
  );
});
