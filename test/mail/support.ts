import type { Config } from '../../src/config.ts';
import { queueMail } from '../../src/mail/mails.ts';
import { TestApp } from '../support/app.ts';
import { smtpSink } from '../support/smtp.ts';

const closing: (() => Promise<unknown>)[] = [];

/** Run when the test has ended, the last one first. */
export const later = (close: () => Promise<unknown>) => closing.push(close);
export async function closeAll(): Promise<void> {
  for (const close of closing.splice(0).reverse()) await close();
}

/** A mail server on loopback, as configuration. */
export const smtp = (port: number, more: Partial<NonNullable<Config['smtp']>> = {}): Partial<Config> => ({
  smtp: { host: '127.0.0.1', port, secure: false, loopback: true, user: null, password: null, ...more },
  mailFrom: { name: 'Acme', address: 'hello@acme.test' },
});

/** The app with a mail server on `port`; null: without. */
export async function open(port: number | null): Promise<TestApp> {
  const app = await TestApp.open({}, port === null ? {} : smtp(port));
  later(() => app.stop());
  return app;
}

export async function sink(options: Parameters<typeof smtpSink>[0] = {}) {
  const server = await smtpSink(options);
  later(() => server.close());
  return server;
}

export const message = async (app: TestApp, more: Record<string, unknown> = {}) =>
  (
    await app.api('POST', '/email-messages', {
      subject: 'Hello {{ contact.firstName }}',
      html: '<html><body><p>Dear {{ contact.firstName }}, {{ event.amount }}</p><a href="{{ unsubscribeUrl }}">leave</a></body></html>',
      ...more,
    })
  ).body;

/** A contact by webhook. */
export async function contact(app: TestApp, email = 'ada@example.com', name = 'Ada Lovelace') {
  const endpoint = await app.endpoint('stripe');
  const id = `cus_${Bun.hash(email)}`;
  const object = { id, object: 'customer', email, name, metadata: {} };
  const created = Math.floor(app.now() / 1000) - 5;
  await app.post(endpoint, 'stripe', {
    ...{ id: `evt_${id}`, object: 'event', type: 'customer.created', created, livemode: false },
    data: { object },
  });
  await app.drain();
  const [found] = (await app.api('GET', `/contacts/find?email=${encodeURIComponent(email)}`)).body;
  return found as { id: string; email: string; subscribed: boolean };
}

let n = 0;
export const queue = (app: TestApp, to: { id: string; email: string } | string, emailMessageId: string, more = {}) =>
  app.app.ctx.store.write(tx =>
    queueMail(
      tx,
      {
        key: `test:${n++}`,
        contactId: typeof to === 'string' ? null : to.id,
        to: typeof to === 'string' ? to : to.email,
        emailMessageId,
        data: { event: { amount: 29 } },
        transactional: false,
        ...more,
      },
      app.now(),
    ),
  );
export const state = async (app: TestApp, id: string | null) => (await app.api('GET', `/mails/${id}`)).body;
export const subscribed = async (app: TestApp, email: string): Promise<boolean> =>
  (await app.api('GET', `/contacts/find?email=${encodeURIComponent(email)}`)).body[0].subscribed;

/** The path of the unsubscribe link in a message's header. */
export const linkOf = (raw: string): string =>
  /List-Unsubscribe:\s*<https?:\/\/[^/]+(\/unsubscribe\/[^>]+)>/.exec(raw.replace(/\r\n\s+/g, ''))?.[1] ?? '';
