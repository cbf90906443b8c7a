import { expect, test } from 'bun:test';
import { hasBrowser } from '../support/browser.ts';
import { closeAfterwards, eachDatabase, findBarriers, openDashboard, signIn } from '../support/dashboard.ts';

closeAfterwards();

const NAME = '<b>Ada</b>';

eachDatabase('contacts', kind => {
  test.skipIf(!hasBrowser)(
    'a person is edited, unsubscribed and subscribed again, deleted and erased, by keyboard; who only reads can do none of it',
    async () => {
      const told = await openDashboard(kind);
      const { page, trouble, api, visit } = told;
      const list = await api('POST', '/lists', { name: '<i>News</i>' });
      const { id } = await api('POST', '/contacts/create', {
        ...{ email: 'ada@example.com', firstName: 'Ann', lastName: 'Lovelace', seats: 5, isPilot: true, plan: 'pro' },
      });
      await api('POST', '/contacts/create', { email: 'grace@example.com' });
      const find = async (email: string) => (await api('GET', `/contacts/find?email=${email}`))[0];

      await visit(`/contacts/${id}`);
      await page.getByText('Edit', { exact: true }).click();
      await page.getByLabel('First name').fill(NAME);
      await page.getByLabel('User group').fill('Customers');
      await page.getByLabel('<i>News</i>').check();
      await page.getByLabel('seats').fill('7');
      await page.getByLabel('isPilot').selectOption('no');
      await page.getByLabel('plan').fill('');
      expect(await findBarriers(page)).toEqual([]);
      await page.getByLabel('seats').press('Enter');
      await page.getByText('Saved.').waitFor();
      await page.getByText(`${NAME} Lovelace`).first().waitFor();
      expect(await find('ada@example.com')).toMatchObject({
        ...{ firstName: NAME, lastName: 'Lovelace', userGroup: 'Customers', mailingLists: { [list.id]: true } },
        ...{ seats: 7, isPilot: false },
      });
      expect(await find('ada@example.com')).not.toHaveProperty('plan');

      // Escape ends the question, and the focus is back at its button
      const dialog = page.getByRole('dialog');
      const press = async (button: string) => page.getByRole('button', { name: button, exact: true }).press('Enter');
      await press('Unsubscribe');
      await page.getByRole('dialog', { name: 'Unsubscribe ada@example.com?' }).waitFor();
      expect(await findBarriers(page)).toEqual([]);
      await page.keyboard.press('Escape');
      await dialog.waitFor({ state: 'detached' });
      const focus = page.locator(':focus');
      expect(await focus.textContent()).toBe('Unsubscribe');
      expect((await find('ada@example.com')).subscribed).toBe(true);

      await page.keyboard.press('Enter');
      await dialog.getByText('Transactional mail still does').waitFor();
      await page.keyboard.press('Tab');
      expect(await focus.textContent()).toBe('Unsubscribe');
      await page.keyboard.press('Enter');
      await page.getByRole('button', { name: 'Subscribe again' }).waitFor();
      expect((await find('ada@example.com')).subscribed).toBe(false);
      await page.getByText('out by api').first().waitFor();
      await press('Subscribe again');
      await dialog.getByText('Do it only where they asked you to').waitFor();
      await dialog.getByRole('button', { name: 'Subscribe again' }).press('Enter');
      await page.getByRole('button', { name: 'Unsubscribe', exact: true }).waitFor();
      expect((await find('ada@example.com')).subscribed).toBe(true);

      // erased, having seen what goes
      await api('POST', '/events/send', { email: 'ada@example.com', eventName: 'paid' });
      await press('Erase');
      await dialog.getByText('Nothing that tells of this person stays').waitFor();
      await dialog.getByText('Events').waitFor();
      expect(await dialog.locator('.facts').textContent()).toContain('Events1');
      expect(await findBarriers(page)).toEqual([]);
      await dialog.getByRole('button', { name: 'Erase ada@example.com for good' }).press('Enter');
      await page.getByRole('link', { name: 'grace@example.com' }).waitFor();
      expect(await find('ada@example.com')).toBeUndefined();
      for (let tries = 0; tries < 100 && (await api('GET', '/events')).data.length; tries++) await Bun.sleep(50);
      expect((await api('GET', '/events')).data).toEqual([]);

      await page.getByRole('link', { name: 'grace@example.com' }).click();
      const { key } = await api('POST', '/keys', { name: 'eyes', scope: 'read' });
      await press('Delete');
      await dialog.getByRole('button', { name: 'Delete grace@example.com' }).press('Enter');
      await page.getByText('There are no contacts yet').waitFor();
      expect(await find('grace@example.com')).toBeUndefined();

      const other = await api('POST', '/contacts/create', { email: 'mary@example.com' });
      await signIn(told, key);
      await visit(`/contacts/${other.id}`);
      await page.getByText('Who is behind it').waitFor();
      expect(await page.getByRole('button', { name: /subscribe|Delete|Erase/i }).count()).toBe(0);
      expect(await page.getByText('Edit', { exact: true }).count()).toBe(0);
      expect(trouble).toEqual([]);
    },
    120_000,
  );
});
