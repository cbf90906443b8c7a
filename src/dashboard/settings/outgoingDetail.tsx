import { useState } from 'preact/hooks';
import type { z } from 'zod';
import type { callDetail, callView } from '../../http/v1/shapes.ts';
import { callApi } from '../api.ts';
import { linkTo, place, visit } from '../router.ts';
import { mayWrite } from '../session.ts';
import { type Column, List } from '../shell/list.tsx';
import { Chip, Copyable, Failure, Screen, Show, Time, useAction, useLoaded } from '../ui.tsx';
import type { Subscription } from './outgoing.tsx';

type Call = z.infer<typeof callView>;
type WholeCall = z.infer<typeof callDetail>;

/** One outgoing webhook: its switches, its calls, and of one call every attempt. */
export function WebhookDetail({ id }: { id: string }) {
  const path = `/webhook-subscriptions/${encodeURIComponent(id)}`;
  const subscription = useLoaded(id, () => callApi<Subscription>('GET', path));
  const callId = place.value.query.get('call');
  const columns: Column<Call>[] = [
    { title: 'Made', show: each => <Time at={each.createdAt} /> },
    { title: 'State', show: each => <Chip state={each.state} /> },
    {
      title: 'Happening',
      show: each => <a href={linkTo(['settings', 'webhooks', id], { call: each.id })}>{each.eventName}</a>,
    },
    { title: 'Attempts', show: each => each.attemptCount },
    { title: 'Next attempt', show: each => <Time at={each.nextAttemptAt} /> },
    { title: 'Last answer', show: each => each.error ?? each.lastStatus },
  ];
  return (
    <Screen
      title={subscription.data?.name ?? 'Outgoing webhook'}
      actions={subscription.data && <Chip state={subscription.data.state} />}
    >
      <p>
        <a href={linkTo(['settings', 'webhooks'])}>All outgoing webhooks</a>
      </p>
      <Show of={subscription}>
        {one => (
          <>
            {one.reason !== null && <p class="note">{one.reason}</p>}
            <dl class="facts">
              <dt>URL</dt>
              <dd>
                <code>{one.url}</code>
              </dd>
              <dt>Happenings</dt>
              <dd>{one.eventNames.join(', ')}</dd>
              <dt>Secret</dt>
              <dd>
                <code>{one.secretHint}</code>
              </dd>
              <dt>Fails since</dt>
              <dd>
                <Time at={one.failingSince} />
              </dd>
            </dl>
            {mayWrite.value && <Switches of={one} path={path} show={subscription.set} />}
          </>
        )}
      </Show>
      {callId && <OneCall key={callId} id={callId} />}
      <h2>Calls</h2>
      <List
        at={['settings', 'webhooks', id]}
        api={`${path}/calls`}
        kept={['call']}
        filters={[
          { name: 'state', label: 'State', options: ['queued', 'delivered', 'failed'].map(each => [each, each]) },
        ]}
        columns={columns}
        empty="No call was made yet. Send a test to see one."
      />
    </Screen>
  );
}

interface SwitchProps {
  of: Subscription;
  path: string;
  show(changed: Subscription): void;
}

function Switches({ of: one, path, show }: SwitchProps) {
  const [secret, setSecret] = useState<string | null>(null);
  const { busy, error, run } = useAction();
  const toggle = async () => show(await callApi<Subscription>('PATCH', path, { paused: !one.paused }));
  const test = async () => {
    const call = await callApi<{ id: string }>('POST', `${path}/test`);
    visit(linkTo(['settings', 'webhooks', one.id], { call: call.id }));
  };
  const rotate = async () => {
    const made = await callApi<Subscription & { secret: string }>('POST', `${path}/rotate-secret`, {});
    setSecret(made.secret);
    show(made);
  };
  const remove = async () => {
    await callApi('DELETE', path);
    visit(linkTo(['settings', 'webhooks']));
  };
  return (
    <>
      <p class="row">
        <button type="button" disabled={busy} onClick={() => void run(toggle)}>
          {one.paused ? 'Resume' : 'Pause'}
        </button>
        <button type="button" disabled={busy} onClick={() => void run(test)}>
          Send a test
        </button>
        <button type="button" disabled={busy} onClick={() => void run(rotate)}>
          Make a new secret
        </button>
      </p>
      {secret !== null && (
        <div role="status">
          <Copyable label="The new secret" text={secret} />
          <p class="note">It is shown only now. The old one signs beside it for a day.</p>
        </div>
      )}
      <Failure message={error} />
      <details class="danger">
        <summary>Remove it</summary>
        <p>Its calls go too, those that wait among them.</p>
        <button type="button" class="bad" disabled={busy} onClick={() => void run(remove)}>
          Remove {one.name}
        </button>
      </details>
    </>
  );
}

function OneCall({ id }: { id: string }) {
  const call = useLoaded(id, () => callApi<WholeCall>('GET', `/webhook-calls/${encodeURIComponent(id)}`));
  const { busy, error, run } = useAction();
  const replay = async () => call.set(await callApi<WholeCall>('POST', `/webhook-calls/${id}/replay`));
  return (
    <section aria-labelledby="call">
      <h2 id="call">
        One call <code class="faint">{id}</code>
      </h2>
      <Show of={call}>
        {one => (
          <>
            <p class="row">
              <Chip state={one.state} />
              <button type="button" disabled={busy} onClick={() => void run(call.reload)}>
                Look again
              </button>
              {mayWrite.value && (
                <button type="button" disabled={busy} onClick={() => void run(replay)}>
                  Make it again
                </button>
              )}
            </p>
            <Failure message={error} />
            <ol class="steps">
              {one.attempts.map(each => (
                <li key={each.at}>
                  <Time at={each.at} />: {each.status ?? 'no answer'} after {each.ms} ms {each.error}
                  {each.answer && <pre>{each.answer}</pre>}
                </li>
              ))}
            </ol>
            {one.payload !== null && (
              // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, also by keyboard
              <pre tabIndex={0}>{JSON.stringify(one.payload, null, 2)}</pre>
            )}
          </>
        )}
      </Show>
    </section>
  );
}
