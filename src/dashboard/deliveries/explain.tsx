import { callApi, type List } from '../api.ts';
import type { DeliveryExplained } from '../common/explained.ts';
import { Provenance } from '../common/provenance.tsx';
import { linkTo } from '../router.ts';
import { Show, Time, useLoaded } from '../ui.tsx';

async function loadWhole(id: string) {
  const [explained, lists] = await Promise.all([
    callApi<DeliveryExplained>('GET', `/deliveries/${encodeURIComponent(id)}/explain`),
    callApi<List[]>('GET', '/lists'),
  ]);
  return { explained, lists: new Map(lists.map(each => [each.id, each.name])) };
}

/** Why a delivery did what it did: received, verified, the fact in it, and field by field what shows now. */
export function Explanation({ id }: { id: string }) {
  const whole = useLoaded(id, () => loadWhole(id));
  return (
    <section aria-labelledby="why">
      <h2 id="why">Why</h2>
      <Show of={whole}>
        {({ explained: { received, verified, fact, contact }, lists }) => (
          <>
            <ol class="chain">
              <li>
                Received <Time at={received.at} /> by{' '}
                <a href={linkTo(['endpoints', received.endpointId])}>
                  {received.endpointName ?? 'an endpoint of before'}
                </a>
              </li>
              <li>{verified.sentence}</li>
              {fact ? (
                <li>
                  It tells of <code>{fact.identityId ?? 'nobody with an id'}</code>, as of <Time at={fact.at} /> (
                  {fact.authority === 'person' ? 'the person’s own record' : 'a copy of the person’s record'},{' '}
                  {fact.rankName}). {fact.sentence}
                </li>
              ) : (
                <li class="faint">Nothing in it was applied.</li>
              )}
              {contact && (
                <li>
                  {contact.sentence}{' '}
                  {(contact.nowContactId ?? contact.contactId) !== null && (
                    <a href={linkTo(['contacts', contact.nowContactId ?? contact.contactId ?? ''])}>
                      {contact.email ?? 'the contact'}
                    </a>
                  )}
                </li>
              )}
            </ol>
            {contact && contact.fields.length > 0 && (
              <>
                <h3>The fields it tells of, as they are now</h3>
                <Provenance fields={contact.fields} lists={lists} />
              </>
            )}
          </>
        )}
      </Show>
    </section>
  );
}
