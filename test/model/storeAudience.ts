import { buildConsentCall, buildDeleteCall, buildWriteCall } from '../../src/audience/apiCalls.ts';
import type { PeopleWriter, WriteKind } from '../../src/audience/peopleWriter.ts';
import { callPeople, makeOutcome } from '../../src/audience/personCall.ts';
import { lists, properties } from '../../src/db/schema.ts';
import type { Store } from '../../src/db/store.ts';
import { AppError } from '../../src/errors.ts';
import { applyFact } from '../../src/inbound/ingest.ts';
import { buildOutcome, chooseLane, collectKeys, type ReadyFact } from '../../src/inbound/recordDelivery.ts';
import { audience, peopleOf } from '../support/facts.ts';
import { factOf, originOf } from './core.ts';
import type { Answer, Audience, ModelContact, Step } from './steps.ts';

const telling: WriteKind<ReadyFact, null> = {
  lane: chooseLane,
  load: async () => null,
  keys: collectKeys,
  apply(people, ready, _, now) {
    const applied = applyFact(people, ready.fact, ready.origin, now);
    return { ...makeOutcome(applied, null, { key: '', deliveryId: null }), ...buildOutcome(applied, ready, applied) };
  },
  save: async () => {},
};

/** The core with a database under it: each step through the way that webhooks and API calls take. */
export class StoreAudience implements Audience {
  private writes = 0;

  constructor(private readonly store: Store) {}

  /** Lists that histories name, and the types of their properties. */
  async prepare(names: string[], types: Record<string, 'string' | 'number'>): Promise<void> {
    await this.store.write(async tx => {
      for (const id of names)
        await tx.insert(lists).values({ id, name: id, description: null, isPublic: false, createdAt: 0 });
      for (const [key, type] of Object.entries(types)) await tx.insert(properties).values({ key, type, createdAt: 0 });
    });
  }

  async take(step: Step): Promise<Answer> {
    const people = peopleOf(this.store, step.arrivedAt);
    try {
      await this.apply(people, step);
      return 'done';
    } catch (error) {
      if (error instanceof AppError) return 'refused';
      throw error;
    }
  }

  private async apply(people: PeopleWriter, step: Step): Promise<void> {
    const key = `w${String(++this.writes).padStart(9, '0')}`;
    if (step.kind === 'fact') await people.write(telling, { fact: factOf(step), origin: originOf(step) });
    else if (step.kind === 'link')
      await callPeople(people, buildConsentCall(step.email, step.subscribed, 'link', { key }));
    else if (step.kind === 'delete') await callPeople(people, buildDeleteCall(step.by, { key }));
    else if (step.kind === 'write') {
      const { kind: _, how, lists: mailingLists, arrivedAt: __, subscribed, ...rest } = step;
      const imported = how === 'import';
      const write = { ...rest, mailingLists, ...(!(imported && subscribed) && { subscribed }) };
      const reason = imported ? ('import' as const) : ('api' as const);
      const options = { key, source: imported ? 'CSV import' : 'API', reason };
      await callPeople(people, buildWriteCall(how === 'create' ? 'create' : 'upsert', write, options));
    }
  }

  async contacts(): Promise<ModelContact[]> {
    const rows = await audience(this.store);
    return rows.map(
      ({ email, userId, firstName, lastName, source, userGroup, subscribed, properties: held, lists: on }) => ({
        email,
        userId,
        firstName,
        lastName,
        source,
        userGroup,
        subscribed,
        properties: held,
        lists: on,
      }),
    );
  }
}
