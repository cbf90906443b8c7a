import { eq } from 'drizzle-orm';
import { type Explained, explainPeople, findLastWord, IDENTITY_STATES, judgeIdentity } from '../audience/explain.ts';
import { MAX_TIED, type People } from '../audience/people.ts';
import type { PeopleWriter } from '../audience/peopleWriter.ts';
import { RULES } from '../audience/rules.ts';
import { formerContacts } from '../db/schema.ts';
import type { Store } from '../db/store.ts';
import { notFound } from '../errors.ts';
import { formatTime } from '../time.ts';
import { collectKeys, describeField, describeIdentity, findSources, listFields } from './factOrigins.ts';

const MOST = 50; // people of a contact that was removed
const MOST_WORDS = 50; // changes of mind

export const CONTACT_STATES: Record<Explained['state'], string> = {
  shown: 'The contact is listed.',
  parked: RULES.parked,
  removed: 'The contact was removed. What was known before is not shown again, whatever comes later.',
  unknown: 'Nobody with an address is known here yet.',
};

/** A contact with where each field comes from and why, in the shape of the API. @throws AppError notFound */
export async function explainContact({ store, people }: { store: Store; people: PeopleWriter }, id: string) {
  const former = await store.read(tx =>
    tx
      .select({ id: formerContacts.identityId })
      .from(formerContacts)
      .where(eq(formerContacts.contactId, id))
      .limit(MOST),
  );
  const ids = former.map(row => row.id);
  const explained = await people.preview({
    keys: { contacts: [id], ids },
    apply: (all, now) => ({ result: addWords(all, explainPeople(all, { contactId: id, ids }, now), now) }),
  });
  if (!explained.views.length) throw notFound('Contact');
  const fields = listFields(explained.fields);
  const sources = await store.read(tx => findSources(tx, collectKeys(fields)));
  const isOwn = () => false;
  return {
    contactId: explained.contactId ?? id,
    mergedFrom: explained.contactId !== null && explained.contactId !== id ? id : null,
    nowContactId: explained.nowContactId,
    ...{ state: explained.state, sentence: CONTACT_STATES[explained.state], email: explained.email },
    fields: fields.map(each => describeField(each, sources, isOwn)),
    identities: explained.identities,
    consent: describeConsent(explained),
    sharedAddress: isShared(explained),
  };
}

/** Adds what needs the people in memory: what each of them said last of mail. */
const addWords = (people: People, explained: Explained, now: number) => ({
  ...explained,
  identities: explained.views
    .filter(view => view.kind !== 'apiAddress')
    .map(view => {
      const state = judgeIdentity(view);
      const last = findLastWord(people, view, now);
      return {
        ...describeIdentity(view),
        ...{
          state,
          sentence: IDENTITY_STATES[state],
          email: view.own?.email ?? null,
          proven: view.own?.proven != null,
        },
        saidOfMail: last && { at: formatTime(last.at), subscribed: last.subscribed, reason: last.reason },
      };
    }),
});

function describeConsent({ fields, consent }: Explained) {
  const { value, rule } = fields.get('subscribed') ?? { value: null, rule: 'none' as const };
  return {
    subscribed: value === true,
    ...{ rule, sentence: RULES[rule] },
    history: consent.slice(0, MOST_WORDS).map(({ at, ...word }) => ({ ...word, at: formatTime(at) })),
  };
}

const isShared = ({ views }: Explained): boolean =>
  [...Map.groupBy(views, view => view.identity.provider).values()].some(of => of.length >= MAX_TIED);
