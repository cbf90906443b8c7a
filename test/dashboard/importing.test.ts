import { expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { hasBrowser } from '../support/browser.ts';
import { closeAfterwards, eachDatabase, findBarriers, openDashboard, signIn } from '../support/dashboard.ts';

closeAfterwards();

/** Longer than what the page reads of it, and than what the server looks at before it answers. */
const FILLING = Array.from({ length: 40_000 }, (_, i) => `p${i}@example.com;Person ${i};Customer, of ours;7;maybe`);
const FILE = [
  'E-mail;First name;Kind;"Seats; bought";marketing',
  'ada@example.com;"<b>Ada</b> ""A""";Customer;5;perhaps',
  'no address;Bob;Lead;5;maybe',
  'grace@example.com;Grace;Lead;9;maybe',
];
const asFile = (lines: string[]) => ({
  name: 'people.csv',
  mimeType: 'text/csv',
  buffer: Buffer.from(`\uFEFF${lines.join('\r\n')}\r\n`),
});

eachDatabase('import and export', kind => {
  test.skipIf(!hasBrowser)(
    'a file is looked at, its columns mapped, the question who opted out answered, then imported with a report; the export has the filters',
    async () => {
      const told = await openDashboard(kind);
      const { page, trouble, api, visit } = told;
      const find = async (email: string) => (await api('GET', `/contacts/find?email=${email}`))[0];
      const list = await api('POST', '/lists', { name: 'News' });

      await visit('/contacts');
      await page.getByRole('link', { name: 'Import' }).click();
      await page.getByText('There was none yet.').waitFor();
      await page.getByLabel('File').setInputFiles(asFile(FILE));
      await page.getByRole('cell', { name: '<b>Ada</b> "A" · Bob · Grace' }).waitFor();
      await page.getByLabel('Meaning of Kind').selectOption('user group');
      await page.getByLabel('Meaning of Seats; bought').selectOption('a property …');
      await page.getByLabel('Property for Seats; bought').fill('seats:number');
      await page.getByLabel('News').check();
      expect(await findBarriers(page)).toEqual([]);
      await page.getByRole('button', { name: 'Import people.csv' }).click();

      // refused with the question; nothing was taken
      await page.getByRole('alert').getByText('say who opted out?').waitFor();
      expect(await page.getByRole('alert').textContent()).toContain('It holds "perhaps", "maybe"');
      expect(await findBarriers(page)).toEqual([]);
      expect((await api('GET', '/imports')).data).toEqual([]);
      // an answer that is taken back is none: the column is not passed over in silence
      await page.getByLabel('What marketing says').selectOption('who opted out: yes or no');
      await page.getByLabel('What marketing says').selectOption('choose …');
      const [again] = await Promise.all([
        page.waitForResponse(/contacts\/import/),
        page.getByRole('button', { name: 'Import people.csv' }).click(),
      ]);
      expect(again.status()).toBe(400);
      await page.getByLabel('What marketing says').selectOption('nothing of the kind: pass it over');

      // tried, then done
      await page.getByRole('button', { name: 'Try it' }).click();
      await page.getByText('Only tried: nothing was changed.').waitFor();
      await page.getByText('3 rows: 2 created, 0 updated, 0 unchanged, 1 failed.').waitFor();
      await page.getByRole('cell', { name: 'no address' }).first().waitFor();
      expect(await findBarriers(page)).toEqual([]);
      expect(await find('ada@example.com')).toBeUndefined();
      await page.goBack();
      await page.getByLabel('File').setInputFiles(asFile(FILE));
      await page.getByLabel('Meaning of Kind').selectOption('user group');
      await page.getByLabel('Meaning of Seats; bought').selectOption('a property …');
      await page.getByLabel('Property for Seats; bought').fill('seats:number');
      await page.getByLabel('Meaning of marketing').selectOption('pass it over');
      await page.getByLabel('News').check();
      await page.getByRole('button', { name: 'Import people.csv' }).click();
      await page.getByText('3 rows: 2 created, 0 updated, 0 unchanged, 1 failed.').waitFor();
      expect(await find('ada@example.com')).toMatchObject({
        ...{
          firstName: '<b>Ada</b> "A"',
          userGroup: 'Customer',
          seats: 5,
          mailingLists: { [list.id]: true },
          subscribed: true,
        },
      });
      const saved = async (name: string | RegExp) => {
        const [download] = await Promise.all([
          page.waitForEvent('download'),
          page.getByRole('link', { name }).press('Enter'),
        ]);
        return readFileSync(await download.path(), 'utf8');
      };
      expect(await saved('Download all of them')).toContain('no address');

      // a long file is refused with its question too, not with a broken connection
      await visit('/contacts/import');
      await page.getByLabel('File').setInputFiles(asFile([...FILE, ...FILLING]));
      await page.getByRole('button', { name: 'Import people.csv' }).click();
      await page.getByRole('alert').getByText('say who opted out?').waitFor();

      await visit('/contacts');
      await page.getByLabel('User group').fill('Lead');
      await page.getByLabel('User group').press('Enter');
      await page.getByText('ada@example.com').waitFor({ state: 'detached' });
      const csv = await saved('Export as CSV');
      expect(csv).toContain('grace@example.com');
      expect(csv).not.toContain('ada@example.com');

      const { key } = await api('POST', '/keys', { name: 'eyes', scope: 'read' });
      const [done] = (await api('GET', '/imports')).data;
      expect(trouble.filter(each => !each.includes('status of 400'))).toEqual([]);
      trouble.splice(0);
      await signIn(told, key);
      await visit(`/contacts/import/${done.id}`);
      await page.getByText('3 rows').waitFor();
      expect(await page.getByText('Rows that failed').count()).toBe(0);
      await visit('/contacts');
      await page.getByRole('link', { name: 'Export as CSV' }).waitFor();
      expect(await page.getByRole('link', { name: 'Import' }).count()).toBe(0);
      expect(trouble).toEqual([]);
    },
    120_000,
  );
});
