/** A real-shaped snapshot event of a type. `key` (24 characters) makes its ids; `now` in ms. Pure. */
export function makeStripeSample(type: string, email: string, now: number, key: string): unknown {
  const seconds = Math.floor(now / 1000);
  return {
    id: `evt_${key}`,
    object: 'event',
    api_version: '2026-10-28.endive',
    created: seconds,
    livemode: false,
    pending_webhooks: 1,
    request: { id: null, idempotency_key: null },
    type,
    data: {
      object: makeObject(type, email, seconds, key),
      ...(type === 'customer.updated' && { previous_attributes: { name: 'Ada' } }),
    },
  };
}

function makeObject(type: string, email: string, created: number, key: string): unknown {
  const customer = `cus_${key.slice(0, 14)}`;
  const name = 'Ada Lovelace';
  const base = { created, livemode: false, metadata: {} };
  if (/^customer\.(created|updated|deleted)$/.test(type)) {
    return {
      id: customer,
      object: 'customer',
      email,
      name,
      description: null,
      currency: null,
      delinquent: false,
      ...base,
    };
  }
  if (type.startsWith('checkout.')) {
    return {
      id: `cs_test_${key}`,
      object: 'checkout.session',
      mode: 'payment',
      customer,
      customer_email: null,
      customer_details: { email, name, phone: null, address: null },
      amount_total: 2900,
      currency: 'usd',
      payment_intent: `pi_${key}`,
      payment_status: type.endsWith('failed') ? 'unpaid' : 'paid',
      status: 'complete',
      ...base,
    };
  }
  if (type.startsWith('invoice.')) {
    const paid = type === 'invoice.paid';
    return {
      ...(type !== 'invoice.upcoming' && { id: `in_${key}` }),
      object: 'invoice',
      customer,
      customer_email: email,
      customer_name: name,
      amount_due: 2900,
      amount_paid: paid ? 2900 : 0,
      currency: 'usd',
      status: paid ? 'paid' : type === 'invoice.upcoming' ? 'draft' : 'open',
      parent: { type: 'subscription_details', subscription_details: { subscription: `sub_${key}`, metadata: {} } },
      ...base,
    };
  }
  if (type.startsWith('customer.subscription.')) {
    const status = { created: 'active', paused: 'paused', resumed: 'active', trial_will_end: 'trialing' }[
      type.split('.')[2] ?? ''
    ];
    return {
      id: `sub_${key}`,
      object: 'subscription',
      customer,
      status: status ?? 'canceled',
      currency: 'usd',
      items: { object: 'list', data: [] },
      ...base,
    };
  }
  if (type.startsWith('quote.')) {
    const status = { finalized: 'open', accepted: 'accepted' }[type.split('.')[1] ?? ''] ?? 'canceled';
    return { id: `qt_${key}`, object: 'quote', customer, status, amount_total: 2900, currency: 'usd', ...base };
  }
  return {
    id: `dp_${key}`,
    object: 'dispute',
    charge: `ch_${key}`,
    payment_intent: `pi_${key}`,
    amount: 2900,
    currency: 'usd',
    reason: 'general',
    status: type.endsWith('closed') ? 'lost' : 'needs_response',
    evidence: { customer_email_address: email, customer_name: name },
    ...base,
  };
}
