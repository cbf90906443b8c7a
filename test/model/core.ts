import { applyApiWrite, applyConsent, applyDeletion, findByEmail } from '../../src/audience/apiWrite.ts';
import type { PropertyType } from '../../src/audience/coerce.ts';
import { People } from '../../src/audience/people.ts';
import { AppError } from '../../src/errors.ts';
import { applyFact, type Origin } from '../../src/inbound/ingest.ts';
import { email as normalEmail } from '../../src/providers/pick.ts';
import type { Answer, Audience, FactStep, ModelContact, Step } from './steps.ts';

const CLASS = { stripe: 'payment', polar: 'payment', clerk: 'auth', supabase: 'auth' } as const;
const NAME = { stripe: 'Stripe', polar: 'Polar', clerk: 'Clerk', supabase: 'Supabase' } as const;

/** The core in memory, without a database: what the model is compared with. */
export class Core implements Audience {
  readonly people: People;
  private writes = 0;

  constructor(types: Record<string, PropertyType> = {}) {
    this.people = new People({ hasList: () => true, typeOf: key => types[key], propertyCount: 0 });
  }

  take(step: Step): Answer {
    this.people.begin();
    try {
      this.apply(step);
      return 'done';
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      this.people.undo();
      return 'refused';
    }
  }

  private apply(step: Step): void {
    const { people } = this;
    const key = `w${String(++this.writes).padStart(9, '0')}`;
    if (step.kind === 'fact') applyFact(people, factOf(step), originOf(step), step.arrivedAt);
    else if (step.kind === 'link')
      applyConsent(people, normalEmail(step.email) ?? '', step.subscribed, 'link', step.arrivedAt);
    else if (step.kind === 'delete') {
      const by = 'email' in step.by ? { email: normalEmail(step.by.email) ?? '' } : step.by;
      applyDeletion(people, by, { key }, step.arrivedAt);
    } else if (step.kind === 'erase') this.erase(normalEmail(step.email) ?? '', step.arrivedAt);
    else {
      const { kind: _, how, lists, arrivedAt, email, ...rest } = step;
      const imported = how === 'import';
      const { subscribed, ...others } = rest;
      const write = {
        ...others,
        ...(email !== undefined && { email: normalEmail(email) ?? '' }),
        ...(subscribed !== undefined && !(imported && subscribed) && { subscribed }),
        mailingLists: lists,
      };
      const options = {
        key,
        source: imported ? 'CSV import' : 'API',
        reason: imported ? ('import' as const) : ('api' as const),
      };
      applyApiWrite(people, how === 'create' ? 'create' : 'upsert', write, options, arrivedAt);
    }
  }

  private erase(email: string, _at: number): void {
    const found = findByEmail(this.people, email);
    if (!found) return;
    for (const identity of [...this.people.identities.values()])
      if (identity.contactId === found.contact.id) this.people.removeIdentity(identity.id);
    this.people.set(this.people.contacts, found.contact.id, null);
  }

  contacts(): ModelContact[] {
    return [...this.people.contacts.values()]
      .filter(each => !each.parked)
      .map(({ email, userId, firstName, lastName, source, userGroup, subscribed, properties, lists }) => ({
        email,
        userId,
        firstName,
        lastName,
        source,
        userGroup,
        subscribed,
        properties,
        lists: [...lists].sort(),
      }))
      .sort((a, b) => (a.email < b.email ? -1 : 1));
  }
}

export const factOf = ({ fact, arrivedAt }: FactStep) => ({
  ...fact,
  payments: [],
  ...(fact.deletion && fact.happenedAt === undefined ? {} : {}),
  ...(fact.happenedAt !== undefined && { happenedAt: fact.happenedAt ?? arrivedAt }),
});

export function originOf({ endpoint, externalId, settings, arrivedAt }: FactStep): Origin {
  return {
    provider: endpoint.namespace === '' ? endpoint.provider : `${endpoint.provider}@${endpoint.namespace}`,
    endpointId: endpoint.id,
    class: CLASS[endpoint.provider],
    source: `${NAME[endpoint.provider]} webhook`,
    deliveryId: null,
    key: `${endpoint.id}:${externalId}`,
    externalId,
    receivedAt: arrivedAt,
    replays: 0,
    settings: {
      enabled: true,
      syncNames: settings.syncNames,
      userGroup: settings.userGroup,
      mailingLists: settings.lists,
      triggerEvent: null,
      triggerMaxAgeHours: 72,
      eventProperties: {},
      contactProperties: {},
      onDelete: settings.onDelete,
    },
    contactProperties: settings.properties,
    formerProperties: settings.formerProperties,
    eventProperties: {},
    mapped: null,
    silent: null,
    notes: [],
  };
}
