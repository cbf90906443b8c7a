import { useState } from 'preact/hooks';
import type { z } from 'zod';
import type { subscriptionView } from '../../http/v1/shapes.ts';
import { callApi } from '../api.ts';
import { linkTo } from '../router.ts';
import { mayWrite } from '../session.ts';
import { type Column, List } from '../shell/list.tsx';
import { Chip, Copyable, Failure, TextField, useAction } from '../ui.tsx';

export type Subscription = z.infer<typeof subscriptionView>;

const COLUMNS: Column<Subscription>[] = [
  { title: 'Name', show: each => <a href={linkTo(['settings', 'webhooks', each.id])}>{each.name}</a> },
  { title: 'State', show: each => <Chip state={each.state} /> },
  { title: 'URL', show: each => <code>{each.url}</code> },
  { title: 'Waiting calls', show: each => each.queued },
  { title: 'Why it is not active', show: each => each.reason },
];

/** Where happenings are sent to. */
export function Webhooks() {
  return (
    <List
      at={['settings', 'webhooks']}
      api="/webhook-subscriptions"
      columns={COLUMNS}
      empty="Nothing is sent out. An outgoing webhook tells a URL of yours of new contacts, events, mails and more, signed as Standard Webhooks say."
    >
      {({ reload }) => mayWrite.value && <Add reload={reload} />}
    </List>
  );
}

function Add({ reload }: { reload(): Promise<void> }) {
  const [url, setUrl] = useState('');
  const [names, setNames] = useState('');
  const [secret, setSecret] = useState<string | null>(null);
  const { busy, error, run } = useAction();
  const add = async () => {
    const eventNames = names
      .split(',')
      .map(each => each.trim())
      .filter(Boolean);
    const made = await callApi<{ secret: string }>('POST', '/webhook-subscriptions', {
      url,
      ...(eventNames.length > 0 && { eventNames }),
    });
    setSecret(made.secret);
    setUrl('');
    await reload();
  };
  return (
    <>
      <form
        class="row"
        onSubmit={event => {
          event.preventDefault();
          void run(add);
        }}
      >
        <TextField label="URL" value={url} onInput={setUrl} required placeholder="https://example.com/webhooks/inlet" />
        <TextField
          label="Which happenings"
          value={names}
          onInput={setNames}
          placeholder="contact.created, event.received"
        />
        <button type="submit" disabled={busy}>
          Send webhooks there
        </button>
        <Failure message={error} />
      </form>
      {secret !== null && (
        <div role="status">
          <Copyable label="Secret to verify them with" text={secret} />
          <p class="note">It is shown only now: take it along before you leave this page.</p>
        </div>
      )}
    </>
  );
}
