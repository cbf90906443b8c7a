import { useEffect } from 'preact/hooks';
import { callApi, type Endpoint, type List, type Provider } from '../api.ts';
import { linkTo, visit } from '../router.ts';
import { mayWrite } from '../session.ts';
import { Chip, Failure, Screen, Show, Time, useAction, useLoaded } from '../ui.tsx';
import { Backfills } from './backfill.tsx';
import { EventList } from './events.tsx';
import { explainState } from './explainState.ts';
import { IgnoredTypes } from './ignored.tsx';
import { Secrets } from './secrets.tsx';
import { ProviderSettings } from './settings.tsx';
import { SetUp } from './setUp.tsx';

const POLL_MS = 3000;

async function loadWhole(id: string) {
  const [endpoint, providers, lists] = await Promise.all([
    callApi<Endpoint>('GET', `/endpoints/${encodeURIComponent(id)}`),
    callApi<Provider[]>('GET', '/providers'),
    callApi<List[]>('GET', '/lists'),
  ]);
  const provider = providers.find(each => each.id === endpoint.provider);
  if (!provider) throw new Error(`This server knows no provider ${endpoint.provider}. Start a newer Inlet.`);
  return { endpoint, provider, lists };
}

export function EndpointDetail({ id }: { id: string }) {
  const whole = useLoaded(id, () => loadWhole(id));
  const state = whole.data?.endpoint.state;
  useEffect(() => {
    if (state !== 'waitingForFirst' && state !== 'failing') return;
    const timer = setInterval(() => document.hidden || void whole.reload(), POLL_MS);
    return () => clearInterval(timer);
  }, [state, whole.reload]);
  const name = whole.data?.endpoint.name || whole.data?.endpoint.provider;
  return (
    <Screen title={name ?? 'Endpoint'} actions={state && <Chip state={state} />}>
      <Show of={whole}>
        {({ endpoint, provider, lists }) => {
          const show = (changed: Endpoint) => whole.set({ endpoint: changed, provider, lists });
          return (
            <>
              <State endpoint={endpoint} show={show} />
              {endpoint.state === 'live' || endpoint.state === 'paused' || (
                <SetUp endpoint={endpoint} provider={provider} reload={whole.reload} />
              )}
              <Secrets endpoint={endpoint} show={show} />
              <EventList endpoint={endpoint} provider={provider} lists={lists} show={show} reload={whole.reload} />
              <IgnoredTypes id={endpoint.id} />
              {provider.about === 'people' && <Backfills endpoint={endpoint} provider={provider} />}
              <ProviderSettings endpoint={endpoint} provider={provider} show={show} />
              {mayWrite.value && <Remove endpoint={endpoint} />}
            </>
          );
        }}
      </Show>
    </Screen>
  );
}

function State({ endpoint, show }: { endpoint: Endpoint; show(changed: Endpoint): void }) {
  const { busy, error, run } = useAction();
  const { id, paused, lastReceivedAt, lastRejected, notes } = endpoint;
  const step = explainState(endpoint);
  const toggle = async () => show(await callApi<Endpoint>('PATCH', `/endpoints/${id}`, { paused: !paused }));
  return (
    <section aria-label="State">
      {step && (
        <p class="step" role="status">
          {step}
        </p>
      )}
      {notes.map(note => (
        <p key={note} class="note">
          {note}
        </p>
      ))}
      <dl class="facts">
        <dt>Provider</dt>
        <dd>{endpoint.provider}</dd>
        <dt>URL for the provider</dt>
        <dd>
          <code>{endpoint.url}</code>
        </dd>
        <dt>Last webhook</dt>
        <dd>
          <Time at={lastReceivedAt} />
        </dd>
        {lastRejected && (
          <>
            <dt>Last refused</dt>
            <dd>
              <Time at={lastRejected.at} /> {lastRejected.cause}
            </dd>
          </>
        )}
      </dl>
      <Failure message={error} />
      <p class="row">
        <a href={linkTo(['deliveries'], { endpointId: id })}>Deliveries</a>
        {endpoint.state === 'failing' && (
          <a href={linkTo(['deliveries'], { endpointId: id, status: 'rejected' })}>Refused ones, with their causes</a>
        )}
        {mayWrite.value && (
          <button type="button" disabled={busy} onClick={() => void run(toggle)}>
            {paused ? 'Resume' : 'Pause'}
          </button>
        )}
      </p>
    </section>
  );
}

function Remove({ endpoint }: { endpoint: Endpoint }) {
  const { busy, error, run } = useAction();
  const remove = async () => {
    await callApi('DELETE', `/endpoints/${endpoint.id}`);
    visit(linkTo(['endpoints']));
  };
  return (
    <details class="danger">
      <summary>Remove this endpoint</summary>
      <p>
        Its URL stops working at once, and its secrets are gone for good. Contacts and the log of its deliveries stay.
      </p>
      <Failure message={error} />
      <button type="button" class="bad" disabled={busy} onClick={() => void run(remove)}>
        Remove {endpoint.name || endpoint.provider}
      </button>
    </details>
  );
}
