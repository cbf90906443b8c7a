import { useState } from 'preact/hooks';
import { callApi, type DeliveryDetail } from '../api.ts';
import { type Preview, Tried } from '../common/tried.tsx';
import { CheckField, Failure, useAction } from '../ui.tsx';

const LOOKED_AT = 200;

/** A delivery applied again, having seen what that would do. */
export function Replay({ of: { id, endpointId }, reload }: { of: DeliveryDetail; reload(): Promise<void> }) {
  const [repeatEffects, setRepeat] = useState(false);
  const [done, setDone] = useState(false);
  const { busy, error, run } = useAction();
  const replay = async () => {
    await callApi('POST', `/deliveries/${id}/replay`, { repeatEffects });
    setDone(true);
    await reload();
  };
  return (
    <details>
      <summary>Apply it again</summary>
      <p>Reads the stored payload with the settings of today. What happened once does not happen twice.</p>
      <PreviewReplay id={id} endpointId={endpointId} />
      <CheckField
        label="Fire events again that it has fired"
        hint="Mails and calls that follow from them go out again."
        value={repeatEffects}
        onChange={setRepeat}
      />
      <Failure message={error} />
      <button type="button" disabled={busy} onClick={() => void run(replay)}>
        Apply it again
      </button>
      {done && (
        <p role="status">
          It is being applied.{' '}
          <button type="button" onClick={() => void reload()}>
            Look again
          </button>
        </p>
      )}
    </details>
  );
}

function PreviewReplay({ id, endpointId }: { id: string; endpointId: string }) {
  const [shown, setShown] = useState<Preview['deliveries'] | null>(null);
  const { busy, error, run } = useAction();
  const look = async () => {
    const { deliveries } = await callApi<Preview>('POST', `/endpoints/${endpointId}/preview`, { limit: LOOKED_AT });
    setShown(deliveries.filter(each => each.deliveryId === id));
  };
  return (
    <>
      <p class="row">
        <button type="button" disabled={busy} onClick={() => void run(look)}>
          What would it do?
        </button>
        <span class="hint">Nothing is written.</span>
      </p>
      <Failure message={error} />
      <div role="status">
        {shown?.length === 0 && (
          <p class="faint">
            It can not be tried: it is not among the last {LOOKED_AT} deliveries of its endpoint, or nothing of it is
            kept.
          </p>
        )}
        {shown && <Tried of={shown} />}
      </div>
    </>
  );
}
