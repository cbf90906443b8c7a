import Stripe from 'stripe';
import { AppError } from '../errors.ts';
import { ApiTrouble, limitAnswers, PER_PAGE } from './api.ts';
import { pickAt, pickEmail, pickId, pickMs, pickName, pickText, readOwn, splitName } from './pick.ts';
import type { Backfill, Fact, Fetch, ListPage } from './provider.ts';

interface Access {
  apiKey?: string | undefined;
  apiBase?: string | undefined;
}

const ANCHORS = 5;

/** An id, or that of an expanded object. */
export const pickIdOf = (value: unknown): string | null => pickId(value) ?? pickId(readOwn(value, 'id'));

/** `name` is of a person or a company; when it is the same as `business_name`, it is nobody's first and last name. */
export function pickPersonName(holder: unknown, collected: string | null = null) {
  const individual = pickName(readOwn(holder, 'individual_name')) ?? collected;
  const name = pickText(readOwn(holder, 'name'));
  return splitName(individual ?? (name === pickText(readOwn(holder, 'business_name')) ? null : name));
}

function makeClient(set: Access, key: string, fetch: Fetch): Stripe {
  const base = new URL(set.apiBase ?? 'https://api.stripe.com');
  return new Stripe(key, {
    httpClient: Stripe.createFetchHttpClient(fetch as typeof globalThis.fetch),
    maxNetworkRetries: 0, // whoever calls tries again
    telemetry: false,
    host: base.hostname,
    port: base.port || (base.protocol === 'https:' ? 443 : 80),
    protocol: base.protocol === 'https:' ? 'https' : 'http',
  });
}

/** Reads the customer (or a disputed charge) with the restricted key. Null: gone, or without an address. @throws ApiTrouble, AppError */
export function lookup(body: unknown, fact: Fact, set: Access, fetch: Fetch): Promise<Fact | null> {
  return lookUpCustomer(body, fact, set, fetch).catch(error => {
    throw redactTrouble(error);
  });
}

async function lookUpCustomer(body: unknown, fact: Fact, set: Access, fetch: Fetch): Promise<Fact | null> {
  if (!set.apiKey) return null;
  const account = pickId(readOwn(body, 'account'));
  const client = makeClient(set, set.apiKey, limitAnswers(fetch));
  const options = account ? { stripeAccount: account } : {};
  const bare = (value: string) => (account ? value.slice(account.length + 1) : value);
  const scoped = (value: string) => (account ? `${account}/${value}` : value);
  const customer = async (customerId: string): Promise<Fact | null> => {
    const found = await client.customers.retrieve(customerId, {}, options);
    if (found.deleted || pickEmail(found.email) === null) return null;
    return { ...fact, personId: scoped(customerId), email: pickEmail(found.email), ...pickPersonName(found) };
  };
  if (fact.personId !== null) return bare(fact.personId).startsWith('cus_') ? customer(bare(fact.personId)) : null;
  const charge = pickIdOf(pickAt(body, 'data.object.charge'));
  if (charge === null) return null;
  const found = await client.charges.retrieve(charge, {}, options);
  const owner = pickIdOf(found.customer);
  const known = owner === null ? null : await customer(owner);
  const guest = pickEmail(found.billing_details?.email) ?? pickEmail(found.receipt_email);
  return known ?? (guest === null ? null : { ...fact, email: guest, ...splitName(found.billing_details?.name) });
}

/** Stripe's error without its words: what they say is the other side's, and may repeat the key. */
function redactTrouble(error: unknown): unknown {
  if (!(error instanceof Stripe.errors.StripeError)) return error;
  const { detail } = error as { detail?: unknown };
  if (detail instanceof AppError || detail instanceof ApiTrouble) return detail;
  const headers = error.headers as Record<string, string> | undefined;
  const status = error.statusCode ?? 0;
  return new ApiTrouble(status < 300 ? 0 : status, headers?.['retry-after'] ?? null);
}

/**
 * One page of GET /v1/customers, newest first (docs.stripe.com/api/customers/list). The cursor holds the last ids of the page before:
 * when the very last was deleted meanwhile, the page begins after the one before it, which is the same place.
 */
async function listCustomersAfter(client: Stripe, anchors: string[]) {
  for (const anchor of anchors) {
    try {
      return await client.customers.list({ limit: PER_PAGE, starting_after: anchor });
    } catch (error) {
      const missing = error instanceof Stripe.errors.StripeInvalidRequestError && error.code === 'resource_missing';
      if (!missing) throw error;
    }
  }
  return client.customers.list({ limit: PER_PAGE });
}

export const backfill: Backfill<Access> = {
  type: 'customer.created',
  undated: true,
  key: 'a restricted key (rk_…) with read access to Customers',
  needs: [],
  async page({ key, settings, cursor, fetch }): Promise<ListPage> {
    const client = makeClient(settings, key, limitAnswers(fetch));
    const list = await listCustomersAfter(client, cursor === null ? [] : cursor.split(' ')).catch(error => {
      throw redactTrouble(error);
    });
    if (!Array.isArray(list.data)) throw new ApiTrouble(0);
    const last = list.data
      .slice(-ANCHORS)
      .reverse()
      .flatMap(customer => pickId(readOwn(customer, 'id')) ?? []);
    const items = list.data.map(customer => ({
      id: pickId(readOwn(customer, 'id')),
      at: pickMs(Number(readOwn(customer, 'created')) * 1000) ?? 0,
      body: {
        object: 'event',
        type: 'customer.created',
        created: readOwn(customer, 'created'),
        livemode: readOwn(customer, 'livemode'),
        data: { object: customer },
      },
    }));
    return { items, next: list.has_more && last.length ? last.join(' ') : null, total: null };
  },
};
