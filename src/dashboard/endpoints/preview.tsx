import { useState } from 'preact/hooks';
import { callApi, type EventSettings } from '../api.ts';
import { type Preview, Tried } from '../common/tried.tsx';
import { Failure, useAction } from '../ui.tsx';

interface Props {
  endpointId: string;
  type: string;
  /** What is changed and not saved yet. */
  change: Partial<EventSettings>;
}

const LOOKED_AT = 200;

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
      <Tried of={own} />
    </div>
  );
}
