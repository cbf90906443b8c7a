import { useState } from 'preact/hooks';
import { callApi, type EventSettings } from '../api.ts';
import { describeEffect } from '../deliveries/describeEffect.ts';
import { linkTo } from '../router.ts';
import { Failure, Time, useAction } from '../ui.tsx';

type State = Record<string, string | number | boolean | null> | null;
interface Preview {
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
interface Props {
  endpointId: string;
  type: string;
  /** What is changed and not saved yet. */
  change: Partial<EventSettings>;
}

const LOOKED_AT = 200;
const sayValue = (value: unknown): string =>
  value === undefined || value === null || value === '' ? 'nothing' : String(value);

/** What the last deliveries would do with these settings: before → after, and nothing is written. */
export function PreviewSettings({ endpointId, type, change }: Props) {
  const [shown, setShown] = useState<{ of: string; preview: Preview } | null>(null);
  const { busy, error, run } = useAction();
  const asked = JSON.stringify(change);
  const look = async () => {
    const body = { events: { [type]: change }, limit: LOOKED_AT };
    setShown({ of: asked, preview: await callApi<Preview>('POST', `/endpoints/${endpointId}/preview`, body) });
  };
  return (
    <>
      <p class="row">
        <button type="button" disabled={busy} onClick={() => void run(look)}>
          What would it do?
        </button>
        <span class="hint">Tried on the last {LOOKED_AT} deliveries. Nothing is saved or written.</span>
      </p>
      <Failure message={error} />
      {shown && shown.of === asked && <Found preview={shown.preview} type={type} />}
    </>
  );
}

function Found({ preview: { summary, deliveries }, type }: { preview: Preview; type: string }) {
  const own = deliveries.filter(each => each.type === type);
  return (
    <div role="status">
      <p class="step">
        Of the last {summary.deliveries} deliveries {summary.changing} would change their contact, {summary.events} fire
        an event, {summary.ignored} be ignored, {summary.waiting} wait.
      </p>
      {own.length === 0 && <p class="faint">None of them is a {type}.</p>}
      <ul class="steps">
        {own.map(each => (
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
    </div>
  );
}
