import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { checkout, customer, orders, Story, stripe } from '../support/story.ts';

let s: Story;
afterEach(() => s.stop());

const statuses = async () => {
  const { data } = (await s.app.api('GET', '/deliveries?perPage=100')).body;
  return [...new Set(data.map((each: { status: string }) => each.status))];
};

describe.each([
  ['applied as it comes', false],
  ['queued first', true],
])('a webhook %s', (_, careful) => {
  beforeEach(async () => {
    s = await Story.open();
    if (careful) s.app.app.ctx.careful.begin();
  });

  test('who waits and who makes the person known may come at once', async () => {
    const id = await s.endpoint('stripe', {
      events: { 'customer.subscription.created': { triggerEvent: 'subscribed' } },
    });
    const bodies = Array.from({ length: 20 }, (_, n) => [
      stripe('customer.subscription.created', { object: 'subscription', id: `sub_${n}`, customer: `cus_${n}` }, s.now),
      stripe('customer.created', customer(`cus_${n}`, `${n}@x.co`), s.now),
    ]).flat();
    await Promise.all(bodies.map(body => s.app.post(id, 'stripe', body)));
    await s.app.drain();
    expect(await statuses()).toEqual(['processed']);
    expect(await s.events()).toHaveLength(20);
  });

  test('disputes find who paid by any id of the payment, in every order of arrival', async () => {
    const id = await s.endpoint('stripe', { events: { 'charge.dispute.created': { triggerEvent: 'disputed' } } });
    let expected = 0;
    for (const [n, order] of [...orders([0, 1, 2, 3])].entries()) {
      const dispute = (more: object) =>
        stripe('charge.dispute.created', { object: 'dispute', id: `dp_${n}`, evidence: {}, ...more }, s.now);
      const bodies = [
        dispute({ charge: `ch_${n}`, payment_intent: null }),
        dispute({ charge: `ch_${n}`, payment_intent: `pi_${n}` }),
        dispute({ charge: null, payment_intent: `pi_${n}` }),
        stripe('checkout.session.completed', checkout(`${n}@x.co`, { payment_intent: `pi_${n}` }), s.now),
      ];
      for (const i of order) {
        await s.app.post(id, 'stripe', bodies[i]);
        await s.app.drain();
      }
      expected += 3;
      expect({ order, fired: (await s.events()).length, statuses: await statuses() }).toEqual({
        order,
        fired: Math.min(expected, 100),
        statuses: ['processed'],
      });
      s.pass();
    }
  });
});
