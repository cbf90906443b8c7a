import { callApi } from '../api.ts';
import type { ContactExplained } from '../common/explained.ts';
import { Provenance } from '../common/provenance.tsx';
import { Show, Time, useLoaded } from '../ui.tsx';

/** Where each field of a contact comes from, and its changes of mind about mail. */
export function Explanation({ id, lists }: { id: string; lists: Map<string, string> }) {
  const explained = useLoaded(id, () =>
    callApi<ContactExplained>('GET', `/contacts/${encodeURIComponent(id)}/explain`),
  );
  return (
    <section aria-labelledby="why">
      <h2 id="why">Where this comes from</h2>
      <Show of={explained}>
        {({ sentence, fields, consent }) => (
          <>
            <p>{sentence}</p>
            <Provenance fields={fields} lists={lists} />
            <h3>Mail</h3>
            <p>{consent.sentence}</p>
            <ul class="steps">
              {consent.history.map(each => (
                <li key={`${each.at} ${each.reason}`}>
                  {each.subscribed ? 'in' : 'out'} by {each.reason} {each.email} <Time at={each.at} />
                </li>
              ))}
            </ul>
          </>
        )}
      </Show>
    </section>
  );
}
