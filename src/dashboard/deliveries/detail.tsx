import { callApi, type DeliveryDetail } from '../api.ts';
import { describeEffect } from '../common/describeEffect.ts';
import { linkTo } from '../router.ts';
import { mayWrite } from '../session.ts';
import { Chip, Copyable, Screen, Show, Time, useLoaded } from '../ui.tsx';
import { makeCurl } from './curl.ts';
import { Explanation } from './explain.tsx';
import { Replay } from './replay.tsx';

/** One webhook: what came, what it did, what the provider was answered. */
export function DeliveryDetailScreen({ id }: { id: string }) {
  const delivery = useLoaded(id, () => callApi<DeliveryDetail>('GET', `/deliveries/${encodeURIComponent(id)}`));
  return (
    <Screen title={delivery.data?.type || 'Delivery'} actions={delivery.data && <Chip state={delivery.data.status} />}>
      <Show of={delivery}>
        {one => (
          <>
            <p class="step">{one.message}</p>
            {one.error !== null && one.error !== one.message && <p class="note">{one.error}</p>}
            <Facts of={one} />
            <section aria-labelledby="effects">
              <h2 id="effects">What it did</h2>
              {one.effects.length === 0 && <p class="faint">Nothing.</p>}
              <ol class="steps">
                {one.effects.map((effect, at) => (
                  <li key={at}>{describeEffect(effect)}</li>
                ))}
              </ol>
            </section>
            <Chain of={one.chain} />
            {one.status !== 'rejected' && <Explanation id={id} />}
            {mayWrite.value && one.status !== 'rejected' && <Replay of={one} reload={delivery.reload} />}
            <Contents of={one} />
          </>
        )}
      </Show>
    </Screen>
  );
}

function Facts({ of: one }: { of: DeliveryDetail }) {
  return (
    <dl class="facts">
      <dt>Received</dt>
      <dd>
        <Time at={one.receivedAt} />
        {one.duplicates > 0 && ` and ${one.duplicates} times more, without effect`}
      </dd>
      <dt>Happened</dt>
      <dd>
        <Time at={one.occurredAt} />
      </dd>
      <dt>Applied</dt>
      <dd>
        <Time at={one.processedAt} />
        {one.attempts > 1 && ` at attempt ${one.attempts}`}
      </dd>
      <dt>Endpoint</dt>
      <dd>
        <a href={linkTo(['endpoints', one.endpointId])}>{one.provider}</a>
      </dd>
      <dt>Contact</dt>
      <dd>
        {one.contactId === null ? (
          <span class="faint">none</span>
        ) : (
          <a href={linkTo(['contacts', one.contactId])}>{one.contactId}</a>
        )}
      </dd>
      <dt>The provider was answered</dt>
      <dd>
        {one.response.status} {one.response.result}
      </dd>
      <dt>Id at the provider</dt>
      <dd>
        <code>{one.externalId ?? '–'}</code>
      </dd>
    </dl>
  );
}

/** Webhook → events → runs → mails and calls. */
function Chain({ of: { events, runs, mails, calls } }: { of: DeliveryDetail['chain'] }) {
  const steps: { id: string; at: string; text: string; path: string[] | null }[] = [
    ...events.map(({ id, at, eventName }) => ({ id, at, text: `Event ${eventName}`, path: null })),
    ...runs.map(({ id, at, status }) => ({ id, at, text: `Workflow run: ${status}`, path: ['runs', id] })),
    ...mails.map(({ id, at, subject, state }) => ({
      id,
      at,
      text: `Mail ${subject ?? ''}: ${state}`,
      path: ['mails', id],
    })),
    ...calls.map(({ id, at, eventName, state, subscriptionId }) => ({
      ...{ id, at, text: `Outgoing webhook ${eventName}: ${state}` },
      path: ['settings', 'webhooks', subscriptionId],
    })),
  ];
  if (steps.length === 0) return null;
  return (
    <section aria-labelledby="chain">
      <h2 id="chain">What came of it</h2>
      <ol class="steps">
        {steps.map(({ id, at, text, path }) => (
          <li key={id}>
            {path ? <a href={linkTo(path)}>{text}</a> : text} <Time at={at} /> <code class="faint">{id}</code>
          </li>
        ))}
      </ol>
    </section>
  );
}

function Contents({ of: one }: { of: DeliveryDetail }) {
  const headers = Object.entries(one.headers);
  return (
    <section aria-labelledby="payload">
      <h2 id="payload">Payload</h2>
      {one.payload !== null && one.payload !== undefined ? (
        <>
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, also by keyboard */}
          <pre tabIndex={0}>{JSON.stringify(one.payload, null, 2)}</pre>
          <Copyable label="As curl, to send it to a program of yours" text={makeCurl(one.payload, one.headers)} />
          <p class="hint">
            Set URL before it. The signature is not kept, so that an endpoint refuses it: here it is applied again
            above.
          </p>
        </>
      ) : (
        <p class="faint">
          {mayWrite.value
            ? 'Nothing of it is kept: it was refused, of a type that is not applied, or is past its time (INLET_RETENTION_DAYS).'
            : 'Payloads are not shown to who may only read.'}
        </p>
      )}
      {headers.length > 0 && (
        <details>
          <summary>Headers</summary>
          <dl class="facts">
            {headers.map(([name, value]) => (
              <>
                <dt key={name}>{name}</dt>
                <dd>{value}</dd>
              </>
            ))}
          </dl>
        </details>
      )}
    </section>
  );
}
