import { afterEach, beforeEach, expect, test } from 'bun:test';
import { stripeEvent, TestApp } from '../support/app.ts';

let app: TestApp;
beforeEach(async () => {
  app = await TestApp.open();
});
afterEach(() => app.stop());

const cut = (effects: { kind: string }[]) => effects.filter(each => each.kind === 'property.cut');

test('a text that is kept in part says so, for the property and for the event', async () => {
  const events = {
    'customer.created': {
      triggerEvent: 'signup',
      contactProperties: { note: 'data.object.metadata.note', plan: 'data.object.metadata.plan' },
      eventProperties: { said: 'data.object.metadata.note' },
    },
  };
  const id = await app.endpoint('stripe', { events });
  const whole = { note: 'n'.repeat(500), plan: 'pro' };
  await app.post(id, 'stripe', stripeEvent('customer.created', { metadata: whole }));
  await app.drain();
  expect(cut((await app.latest()).effects)).toEqual([]);
  const long = { note: `${'n'.repeat(500)}and more`, plan: 'pro' };
  await app.post(id, 'stripe', stripeEvent('customer.created', { metadata: long, email: 'long@x.co' }));
  await app.drain();
  const path = 'data.object.metadata.note';
  const reason = 'only its first 500 characters are kept';
  expect(cut((await app.latest()).effects)).toMatchObject([
    { property: 'note', path, reason },
    { property: 'said', path, reason },
  ]);
  const [contact] = (await app.api('GET', '/contacts/find?email=long@x.co')).body;
  expect(contact.note).toBe('n'.repeat(500));
});
