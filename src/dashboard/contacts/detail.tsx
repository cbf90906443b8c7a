import { useState } from 'preact/hooks';
import { appendQuery, callApi, type Entry, type List, type Page, type Person } from '../api.ts';
import { linkTo } from '../router.ts';
import { mayWrite } from '../session.ts';
import { Chip, Empty, Failure, Screen, Show, Time, useAction, useLoaded } from '../ui.tsx';
import { Actions } from './actions.tsx';
import { Edit } from './edit.tsx';
import { Explanation } from './explain.tsx';

/** Fields that have a place of their own on this screen; every other one is a custom property. */
const KNOWN = [
  ...['id', 'email', 'firstName', 'lastName', 'source', 'subscribed', 'userGroup', 'userId', 'mailingLists'],
  ...['optInStatus', 'createdAt', 'updatedAt', 'emails', 'userIds', 'identities', 'sharedAddress', 'softBounces'],
];

async function loadWhole(id: string) {
  const [person, lists] = await Promise.all([
    callApi<Person>('GET', `/contacts/${encodeURIComponent(id)}`),
    callApi<List[]>('GET', '/lists'),
  ]);
  return { person, lists };
}

export function ContactDetail({ id }: { id: string }) {
  const whole = useLoaded(id, () => loadWhole(id));
  return (
    <Screen title={whole.data?.person.email ?? 'Contact'}>
      <Show of={whole}>
        {({ person, lists }) => (
          <>
            <Fields of={person} lists={lists} />
            {mayWrite.value && (
              <>
                <Edit of={person} lists={lists} reload={whole.reload} />
                <Actions of={person} reload={whole.reload} />
              </>
            )}
            <Identities of={person} />
            <Explanation
              key={person.updatedAt}
              id={person.id}
              lists={new Map(lists.map(each => [each.id, each.name]))}
            />
          </>
        )}
      </Show>
      <Activity id={id} />
    </Screen>
  );
}

function Fields({ of: person, lists }: { of: Person; lists: List[] }) {
  const custom = Object.entries(person).filter(([key]) => !KNOWN.includes(key));
  const names = Object.keys(person.mailingLists).map(id => lists.find(each => each.id === id)?.name ?? id);
  const facts: [string, string][] = [
    ['Name', [person.firstName, person.lastName].filter(Boolean).join(' ')],
    ['Mail', person.subscribed ? 'subscribed' : 'unsubscribed'],
    ['Lists', names.join(', ')],
    ['Group', person.userGroup],
    ['Source', person.source],
    ['User id', person.userId ?? ''],
    ['Addresses, now and formerly', person.emails.join(', ')],
    ...custom.map(([key, value]): [string, string] => [key, String(value ?? '')]),
  ];
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value || <span class="faint">–</span>}</dd>
        </div>
      ))}
    </dl>
  );
}

function Identities({ of: person }: { of: Person }) {
  return (
    <section aria-labelledby="identities">
      <h2 id="identities">Who is behind it</h2>
      {person.sharedAddress && (
        <p class="note">Many persons show this address: facts of further ones count as those of the address alone.</p>
      )}
      <ul class="steps">
        {person.identities.map(each => (
          <li key={`${each.provider} ${each.namespace} ${each.personId}`}>
            {each.provider} {each.namespace} <code>{each.personId ?? 'by address only'}</code>
            {each.deleted && ' (deleted there)'} <span class="faint">since</span> <Time at={each.firstSeenAt} />
          </li>
        ))}
      </ul>
    </section>
  );
}

/** Newest first; older ones are put behind. */
function Activity({ id }: { id: string }) {
  const path = `/contacts/${encodeURIComponent(id)}/activity`;
  const first = useLoaded(path, () => callApi<Page<Entry>>('GET', path));
  const [more, setMore] = useState<Page<Entry>[]>([]);
  const { busy, error, run } = useAction();
  return (
    <section aria-labelledby="activity">
      <h2 id="activity">Activity</h2>
      <Show of={first}>
        {page => {
          const pages = [page, ...more];
          const cursor = pages.at(-1)?.pagination.nextCursor;
          const add = async () => {
            setMore([...more, await callApi<Page<Entry>>('GET', appendQuery(path, { cursor }))]);
          };
          if (page.data.length === 0) return <Empty>Nothing is known to have happened.</Empty>;
          return (
            <>
              <ol class="steps">
                {pages
                  .flatMap(each => each.data)
                  .map(entry => (
                    <li key={entry.id}>
                      <Chip state={entry.kind} /> <EntryLink entry={entry} />
                      <Time at={entry.at} />
                    </li>
                  ))}
              </ol>
              <Failure message={error} />
              {cursor && (
                <button type="button" disabled={busy} onClick={() => void run(add)}>
                  Show older
                </button>
              )}
            </>
          );
        }}
      </Show>
    </section>
  );
}

/** What happened, leading to where it is told in full. */
function EntryLink({ entry: { id, kind, summary, deliveryId } }: { entry: Entry }) {
  if (kind === 'run') return <a href={linkTo(['runs', id])}>{summary}</a>;
  if (kind === 'mail') return <a href={linkTo(['mails', id])}>{summary}</a>;
  if (deliveryId !== null) return <a href={linkTo(['deliveries', deliveryId])}>{summary}</a>;
  return <>{summary}</>;
}
