import { afterAll, expect, test } from 'bun:test';
import { readValues } from '../../src/dashboard/common/readValues.ts';
import { findOffset, readFault } from '../../src/dashboard/messages/message.ts';
import { hasBrowser } from '../support/browser.ts';
import { closeAfterwards, eachDatabase, findBarriers, openDashboard } from '../support/dashboard.ts';
import { smtpSink } from '../support/smtp.ts';

closeAfterwards();
const sinks: { close(): Promise<void> }[] = [];
afterAll(async () => {
  for (const sink of sinks) await sink.close();
});

test('what the API says of a template is placed by part, line and column', () => {
  expect(readFault('html: line 2, column 9: a value without quotes.')).toMatchObject({
    part: 'html',
    line: 2,
    column: 9,
  });
  expect(readFault('subject: unknown tag "x", line:1, col:4.')).toMatchObject({ part: 'subject', line: 1, column: 4 });
  expect(readFault('Not here.')).toMatchObject({ part: null, line: null });
  expect(findOffset('ab\ncd', 2, 2)).toBe(4);
  expect(readValues('plan=pro, amount = 3,isNew=true, nonsense')).toEqual({ plan: 'pro', amount: 3, isNew: true });
});

eachDatabase('messages', kind => {
  test.skipIf(!hasBrowser)(
    'a message is written with its faults at their line, seen as a contact before it is saved, tested; a transactional one is published',
    async () => {
      const smtp = await smtpSink();
      sinks.push(smtp);
      const { page, trouble, api, visit } = await openDashboard(kind, {
        INLET_SMTP_URL: `smtp://127.0.0.1:${smtp.port}`,
        INLET_MAIL_FROM: 'Acme <hello@example.com>',
      });
      const dropFailures = (status: number) => {
        const others = trouble.filter(each => !each.includes(`status of ${status}`));
        expect(others.length).toBeLessThan(trouble.length);
        trouble.splice(0, trouble.length, ...others);
      };
      await api('POST', '/contacts/create', { email: 'eve@example.com', firstName: '<script>hurt()</script>' });
      await visit('/messages');
      await page.getByRole('link', { name: 'Write a message' }).first().press('Enter');
      await page.getByLabel('Subject').fill('Welcome, {{ contact.firstName }}');
      await page.getByLabel('Subject').press('Enter');
      await page.getByText('Welcome, Ada').waitFor();
      const mail = page.frameLocator('iframe').frameLocator('iframe');
      await mail.getByText('Hello Ada,').waitFor();
      expect(await findBarriers(page)).toEqual([]);

      // a fault, at its line and column; then as typed, not saved yet
      const html = page.getByRole('textbox', { name: 'HTML' });
      await html.fill('<p>Hi {{ contact.firstName }}</p>\n<a href={{ contact.x }}>go</a>');
      await page.getByRole('button', { name: 'Save the message' }).click();
      await page.locator('.code .wrong', { hasText: '2' }).waitFor();
      expect(await html.evaluate(area => Reflect.get(area, 'selectionStart'))).toBe(42);
      dropFailures(400);
      await html.fill('<p>Hi {{ contact.firstName }}, {{ event.plan }} {firstName}</p>');
      await page.getByLabel('As this contact').fill('eve@example.com');
      await page.getByLabel('Event and data hold').fill('plan=pro');
      await mail.getByText('Hi <script>hurt()</script>, pro').waitFor();
      await page.getByRole('button', { name: 'Plain text' }).click();
      await page.locator('pre', { hasText: 'Hi <script>hurt()</script>, pro' }).waitFor();
      await page.getByRole('button', { name: 'Phone' }).click();
      await page.locator('.mail.phone').waitFor();
      const id = page.url().split('/').at(-1);
      expect((await api('GET', `/email-messages/${id}`)).html).toContain('Hello');
      await page.getByRole('button', { name: 'Save the message' }).click();
      await page.getByText('Saved.', { exact: true }).waitFor();
      await page.getByText('goes out as it stands').waitFor();

      // a test of it
      await page.getByLabel('To', { exact: true }).fill('me@example.com');
      await page.getByRole('button', { name: 'Send it' }).click();
      await page.getByRole('link', { name: 'see what the mail server says' }).click();
      for (let tries = 0; tries < 100 && smtp.mails.length === 0; tries++) await Bun.sleep(50);
      expect(smtp.mails[0]?.to).toEqual(['me@example.com']);

      // somebody else changed it
      await visit(`/messages/${id}`);
      await html.waitFor();
      await api('POST', `/email-messages/${id}`, { subject: 'Theirs' });
      await html.fill('<p>mine</p>');
      await page.getByRole('button', { name: 'Save the message' }).click();
      await page.getByText('Somebody else changed this message').waitFor();
      dropFailures(409);
      await page.getByRole('button', { name: 'Save mine in place of theirs' }).click();
      await page.getByText('Saved.', { exact: true }).waitFor();
      expect(await api('GET', `/email-messages/${id}`)).toMatchObject({ subject: 'Theirs', html: '<p>mine</p>' });

      await visit('/transactional');
      await page.getByLabel('Name of a new one').fill('<b>Receipt</b>');
      await page.getByLabel('Name of a new one').press('Enter');
      await page.getByText('Publish it to be able to send it').waitFor();
      await page.getByLabel('Subject').fill('Your receipt {{ data.number }}');
      await html.fill('<p>{{ data.number }}</p>');
      await page.getByRole('button', { name: 'Save the message' }).click();
      await page.getByText('Saved.', { exact: true }).waitFor();
      await page.getByRole('button', { name: 'Publish what is saved' }).click();
      await page.getByText('This is what is sent.').waitFor();
      await page.locator('pre', { hasText: '"number":"…"' }).waitFor();
      expect(await findBarriers(page)).toEqual([]);
      expect(trouble).toEqual([]);
    },
    120_000,
  );
});
