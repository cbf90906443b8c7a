import { callApi, type Endpoint } from '../api.ts';
import { CheckField, Failure, useAction } from '../ui.tsx';

interface Props {
  endpointId: string;
  type: string;
  enabled: boolean;
  show(changed: Endpoint): void;
}

/** An event about a mail: it is applied, or it is not. */
export function MailEventForm({ endpointId, type, enabled, show }: Props) {
  const { busy, error, run } = useAction();
  const change = async (to: boolean) =>
    show(await callApi<Endpoint>('PATCH', `/endpoints/${endpointId}`, { events: { [type]: { enabled: to } } }));
  return (
    <form class="narrow" aria-label={`Settings of ${type}`} aria-busy={busy}>
      <CheckField
        label="Apply this event"
        hint="Off: it is answered, and nothing happens."
        value={enabled}
        onChange={to => void run(() => change(to))}
      />
      <Failure message={error} />
    </form>
  );
}
