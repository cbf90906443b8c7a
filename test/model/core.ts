import { applyApiWrite, makeKeyAfter } from '../../src/audience/apiWrite.ts';
import { applyConsent } from '../../src/audience/applyConsent.ts';
import { applyDeletion } from '../../src/audience/applyDeletion.ts';
import type { PropertyType } from '../../src/audience/coerce.ts';
import { findByEmail, findKeepers } from '../../src/audience/findContact.ts';
import { collectAllTies, makeEmailTie, People } from '../../src/audience/people.ts';
import { findGroups, reconcile } from '../../src/audience/reconcile.ts';
import { findDeath } from '../../src/audience/registers.ts';
import { readAddress, type View } from '../../src/audience/views.ts';
import { AppError, notFound } from '../../src/errors.ts';
import { applyFact, identifyFact, type Origin } from '../../src/inbound/ingest.ts';
import { pickEmail as normalEmail } from '../../src/providers/pick.ts';
import type { Answer, Audience, FactStep, ModelContact, Step } from './steps.ts';

const CLASS = { stripe: 'payment', polar: 'payment', clerk: 'auth', supabase: 'auth' } as const;
const NAME = { stripe: 'Stripe', polar: 'Polar', clerk: 'Clerk', supabase: 'Supabase' } as const;

/** The core in memory, without a database: what the model is compared with. */
export class Core implements Audience {
  readonly people: People;
  private writes = 0;
  /** Which events an identity comes of, those of who was erased, and who was dead by then. */
  private readonly events = new Map<string, Set<string>>();
  private readonly erased = new Set<string>();
  private readonly dead = new Set<string>();

  constructor(types: Record<string, PropertyType> = {}, hasList: (id: string) => boolean = () => true) {
    this.people = new People({ hasList, typeOf: key => types[key], propertyCount: 0 });
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
    if (step.kind === 'fact') this.applyFact(step);
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

  private applyFact(step: FactStep): void {
    const event = `${step.endpoint.id} ${step.externalId}`;
    const origin = originOf(step);
    const known = identifyFact(this.people, origin.provider, factOf(step));
    if (this.erased.has(event) || (known !== null && this.dead.has(known))) return;
    const { identityId } = applyFact(this.people, factOf(step), origin, step.arrivedAt);
    this.events.set(identityId, (this.events.get(identityId) ?? new Set()).add(event));
  }

  /**
   * The whole contact goes, address-only ones of its addresses too, and hidden people who named the address. Opt-outs stay; others who
   * were withheld from these addresses do not come forward.
   */
  private erase(email: string, at: number): void {
    const { people } = this;
    const { all } = people.around([], [makeEmailTie(email)]);
    const { groups } = findGroups(all);
    const names = (view: View) => view.identity.registers.facts.some(each => each.e === email);
    const found = findByEmail(people, email)?.contact ?? null;
    const kept = findKeepers(people, email);
    const group = found
      ? groups.find(each => each.views.some(view => view.identity.contactId === found.id))?.views
      : kept.length > 0
        ? kept
        : undefined;
    // With what the API said of them by their user id.
    const isOf = (note: View, views: View[]) =>
      note.identity.registers.class === 'api' && views.some(view => view.unit === note.unit && names(view));
    const hidden = groups
      .filter(each => each.email === null)
      .flatMap(({ views }) => views.filter(view => names(view) || isOf(view, views)));
    const gone = new Set([...(group ?? []), ...hidden].map(view => view.id));
    // What the API said of an address goes with whoever it was about.
    for (const { id, kind, identity } of groups.flatMap(each => each.views))
      if (readAddress(id) === email && (kind === 'address' || identity.contactId === null)) gone.add(id);
    if (gone.size === 0) throw notFound('Contact');
    const views = groups.flatMap(each => each.views);
    const emails = new Set([email, ...views.flatMap(v => (gone.has(v.id) ? v.runs.map(run => run.email) : []))]);
    const rows = new Set(views.flatMap(view => (gone.has(view.id) ? (view.identity.contactId ?? []) : [])));
    const k = makeKeyAfter(all, 'erase', at);
    const ties = [...gone].flatMap(id => collectAllTies(people.identities.get(id)!));
    const near = findGroups(people.around(gone, ties).all).groups.flatMap(each => each.views);
    for (const view of near)
      if (view.withheld && !gone.has(view.id) && view.identity.registers.facts.some(each => emails.has(each.e ?? '')))
        people.changeRegisters(view.id, { ...view.identity.registers, forgot: k });
    for (const id of gone) {
      for (const event of this.events.get(id) ?? []) this.erased.add(event);
      const identity = people.identities.get(id);
      // An address alone is nobody who could be dead.
      if (readAddress(id) === null && identity && (findDeath(identity.registers) !== null || identity.registers.erased))
        this.dead.add(id);
      people.removeIdentity(id);
    }
    for (const id of rows)
      if (![...people.identities.values()].some(each => each.contactId === id)) people.set(people.contacts, id, null);
    const left = people.around([], ties).all.map(each => each.id);
    if (left[0] !== undefined) reconcile(people, left[0], at, left);
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

const ADDRESS = /^\S+@\S+$/;
/** A name that is an address is none: providers' readers see to that. */
const nameOf = (name: string | null) => (name !== null && ADDRESS.test(name.trim()) ? null : name);

export const factOf = ({ fact }: FactStep) => ({
  ...fact,
  firstName: nameOf(fact.firstName),
  lastName: nameOf(fact.lastName),
  payments: [],
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
