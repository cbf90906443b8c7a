import { linkTo } from '../router.ts';
import { Time } from '../ui.tsx';
import { describeEffect } from './describeEffect.ts';

type State = Record<string, string | number | boolean | null> | null;
/** What the last deliveries of an endpoint would do. */
export interface Preview {
  summary: { deliveries: number; changing: number; ignored: number; waiting: number; events: number };
  deliveries: {
    deliveryId: string;
    type: string;
    receivedAt: string;
    message: string;
    before: State;
    after: State;
    effects: ({ kind: string } & Record<string, unknown>)[];
  }[];
}

const sayValue = (value: unknown): string =>
  value === undefined || value === null || value === '' ? 'nothing' : String(value);

/** Of each delivery before → after, and what else would come of it. */
export function Tried({ of: tried }: { of: Preview['deliveries'] }) {
  return (
    <ul class="steps">
      {tried.map(each => (
        <li key={each.deliveryId}>
          <a href={linkTo(['deliveries', each.deliveryId])}>
            <Time at={each.receivedAt} />
          </a>{' '}
          {each.message}
          {Object.keys(each.after ?? {}).map(name => (
            <span class="says" key={name}>
              {name}: <s>{sayValue(each.before?.[name])}</s> → <strong>{sayValue(each.after?.[name])}</strong>
            </span>
          ))}
          {each.effects.length > 0 && <span class="says faint">{each.effects.map(describeEffect).join('; ')}</span>}
        </li>
      ))}
    </ul>
  );
}
