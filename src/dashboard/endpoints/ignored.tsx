import { callApi } from '../api.ts';
import { linkTo } from '../router.ts';
import { Time, useLoaded } from '../ui.tsx';

interface Ignored {
  type: string;
  count: number;
  lastAt: string;
  lastDeliveryId: string;
  advice: string;
}

/** Types that come in and are not applied, how often, and what to do about it. Nothing where there are none. */
export function IgnoredTypes({ id }: { id: string }) {
  const ignored = useLoaded(`ignored ${id}`, () => callApi<Ignored[]>('GET', `/endpoints/${id}/ignored`));
  if (!ignored.data?.length) return null;
  return (
    <section aria-labelledby="ignored">
      <h2 id="ignored">What you ignore</h2>
      <ul class="steps">
        {ignored.data.map(each => (
          <li key={each.type}>
            <strong>{each.type}</strong> {each.count} times, last{' '}
            <a href={linkTo(['deliveries', each.lastDeliveryId])}>
              <Time at={each.lastAt} />
            </a>
            <span class="says faint">{each.advice}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}
