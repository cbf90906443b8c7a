import { afterAll, expect, test } from 'bun:test';
import { hasBrowser } from '../support/browser.ts';
import { closeAfterwards, eachDatabase, findBarriers, openDashboard } from '../support/dashboard.ts';
import { smtpSink } from '../support/smtp.ts';

const HOSTILE =
  '<p style="color:#222">Good to have you, {{ contact.firstName }}.</p><script>parent.hurt = true</script>' +
  '<img src="https://elsewhere.example/pixel.png" alt="our sign"><a href="javascript:hurt()">a way</a>' +
  '<b onclick="hurt()" style="background:url(https://elsewhere.example/b.png)">bold</b>';

closeAfterwards();
const sinks: { close(): Promise<void> }[] = [];
afterAll(async () => {
  for (const sink of sinks) await sink.close();
});

eachDatabase('mails', kind => {
  test.skipIf(!hasBrowser)(
    'a mail is found by its state, shown without running anything, sent again once its address is freed, taken back',
    async () => {
      const smtp = await smtpSink({
        onRcptTo(address, _, done) {
          const gone = address.address.startsWith('gone');
          done(gone ? Object.assign(new Error('5.1.1 no such user here'), { responseCode: 550 }) : undefined);
        },
      });
      sinks.push(smtp);
      const { page, trouble, api, visit } = await openDashboard(kind, {
        INLET_SMTP_URL: `smtp://127.0.0.1:${smtp.port}`,
        INLET_MAIL_FROM: 'Acme <hello@example.com>',
      });
      const made = await api('POST', '/transactional-emails', { name: 'Welcome' });
      await visit('/mails');
      await page.getByText('No mail was made yet').waitFor();
      await page.getByText('Mail goes out.').waitFor();
      expect(await findBarriers(page)).toEqual([]);

      await api('POST', `/email-messages/${made.draftEmailMessageId}`, {
        subject: '<b>Hello</b> {{ data.name }}',
        html: HOSTILE.replace('{{ contact.firstName }}', '{{ data.name }}'),
      });
      await api('POST', `/transactional-emails/${made.id}/publish`);
      await api('POST', '/contacts/create', { email: 'gone@example.com' });
      const send = (email: string) =>
        api('POST', '/transactional', { transactionalId: made.id, email, dataVariables: { name: '<i>Ada</i>' } });
      await send('ada@example.com');
      const sent = async (state: string, count: number) => {
        for (let tries = 0; tries < 100; tries++) {
          if ((await api('GET', `/mails?state=${state}`)).data.length >= count) return;
          await Bun.sleep(50);
        }
        throw new Error(`no ${count} mails became ${state}`);
      };
      await sent('sent', 1);
      await send('gone@example.com');
      await sent('bounced', 1);

      // the list, narrowed by an address that can be shared
      await page.reload();
      await page.getByLabel('State').selectOption('bounced');
      await page.getByText('gone@example.com').waitFor();
      expect(page.url()).toContain('state=bounced');
      expect(await page.locator('tbody tr').count()).toBe(1);
      expect(await page.locator('tbody').textContent()).toContain('no such user here');
      await page.getByLabel('State').selectOption('');
      await page.getByLabel('Address').fill('ada@example.com');
      await page.getByLabel('Address').press('Enter');
      await page.getByRole('link', { name: '<b>Hello</b> <i>Ada</i>' }).click();

      // one mail, as its reader sees it
      await page.getByText('The mail server took it').waitFor();
      const mail = page.frameLocator('iframe').frameLocator('iframe');
      await mail.getByText('Good to have you, <i>Ada</i>.').waitFor();
      expect(await mail.locator('p').evaluate(p => Reflect.get(globalThis, 'getComputedStyle')(p).color)).toBe(
        'rgb(34, 34, 34)',
      );
      expect(await mail.locator('script, [onclick], [src]').count()).toBe(0);
      await page.getByText('A picture from elsewhere not loaded').waitFor();
      expect(await page.evaluate('window.hurt')).toBeUndefined();
      await page.getByRole('button', { name: 'Source of the HTML' }).click();
      await page.locator('pre', { hasText: '<script>' }).waitFor();
      expect(await findBarriers(page)).toEqual([]);

      // one that came back: why, the address freed, sent again
      await visit('/mails?state=bounced');
      await page.getByRole('link', { name: '<b>Hello</b>' }).click();
      await page.getByText('The mailbox does not exist').waitFor();
      await page.getByRole('link', { name: 'Is it suppressed?' }).click();
      await page.getByText('removals are left').waitFor();
      expect(await findBarriers(page)).toEqual([]);
      await page.getByRole('button', { name: 'Let mail reach it again' }).click();
      await page.getByText('gets mail').waitFor();
      await page.getByLabel('Why').selectOption('complaint');
      await page.getByRole('button', { name: 'Suppress this address' }).click();
      await page.getByText('removals are left').waitFor();
      expect(trouble).toEqual([]);

      // nothing goes out while all mail is paused; what waits can be taken back
      await visit('/mails');
      await page.getByRole('button', { name: 'Pause all mail' }).click();
      await page.getByText('All mail is paused').waitFor();
      await send('grace@example.com');
      await visit('/mails?email=grace%40example.com');
      await page.getByRole('link', { name: 'not written out yet' }).click();
      await page.getByRole('button', { name: 'Take it back' }).click();
      await page.getByText('It was cancelled.').waitFor();
      await api('PATCH', '/mail', { paused: false });
      await page.getByRole('button', { name: 'Send it now' }).click();
      await sent('sent', 2);
      await page.reload();
      await page.getByText('The mail server took it').waitFor();
      expect(trouble).toEqual([]);
    },
    120_000,
  );
});
