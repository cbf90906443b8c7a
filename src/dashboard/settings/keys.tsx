import { useState } from 'preact/hooks';
import { callApi } from '../api.ts';
import { mayWrite, self } from '../session.ts';
import { Table } from '../shell/list.tsx';
import { Copyable, Empty, Failure, SelectField, Show, TextField, Time, useAction, useLoaded } from '../ui.tsx';

interface Key {
  id: string;
  name: string;
  hint: string;
  scope: string;
  createdAt: string;
  lastUsedAt: string | null;
}
interface Session {
  id: string;
  keyId: string | null;
  scope: string;
  createdAt: string;
  lastSeenAt: string | null;
  expiresAt: string;
  current: boolean;
}

const sayScope = (scope: string): string => (scope === 'read' ? 'reads' : 'everything');

export function Keys() {
  const keys = useLoaded('keys', () => callApi<Key[]>('GET', '/keys'));
  return (
    <>
      <h2>API keys</h2>
      {mayWrite.value && <Add reload={keys.reload} />}
      <Show of={keys}>
        {all =>
          all.length ? (
            <Table
              rows={all}
              columns={[
                { title: 'Name', show: each => each.name },
                { title: 'Key', show: each => <code>{each.hint}</code> },
                { title: 'May do', show: each => sayScope(each.scope) },
                { title: 'Made', show: each => <Time at={each.createdAt} /> },
                { title: 'Last used', show: each => <Time at={each.lastUsedAt} /> },
                ...(mayWrite.value
                  ? [
                      {
                        title: 'Revoke',
                        show: (each: Key) => (
                          <End what={`Revoke ${each.name}`} path={`/keys/${each.id}`} reload={keys.reload} />
                        ),
                      },
                    ]
                  : []),
              ]}
            />
          ) : (
            <Empty>There is no key in the database: the one of INLET_API_KEY is used. Make one for each script.</Empty>
          )
        }
      </Show>
      <Sessions />
    </>
  );
}

function Add({ reload }: { reload(): Promise<void> }) {
  const [name, setName] = useState('');
  const [scope, setScope] = useState('all');
  const [made, setMade] = useState<string | null>(null);
  const { busy, error, run } = useAction();
  const add = async () => {
    // the scope that may do everything is what the API takes where none is given
    const { key } = await callApi<{ key: string }>('POST', '/keys', { name, ...(scope === 'read' && { scope }) });
    setMade(key);
    setName('');
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
        <TextField label="Name of a new key" value={name} onInput={setName} required />
        <SelectField
          label="It may"
          value={scope}
          options={[
            ['all', 'do everything'],
            ['read', 'only read, and sees no payloads and mails'],
          ]}
          onChange={setScope}
        />
        <button type="submit" disabled={busy}>
          Make the key
        </button>
        <Failure message={error} />
      </form>
      {made !== null && (
        <div role="status">
          <Copyable label="The new key" text={made} />
          <p class="note">It is shown only now: take it along before you leave this page.</p>
        </div>
      )}
    </>
  );
}

function Sessions() {
  const sessions = useLoaded('sessions', () => callApi<Session[]>('GET', '/sessions'));
  return (
    <>
      <h2>Who is signed in</h2>
      <Show of={sessions}>
        {all => (
          <Table
            rows={all}
            columns={[
              {
                title: 'Signed in by',
                show: each => (each.keyId === null ? 'a link' : <code>{each.keyId}</code>),
              },
              { title: 'May do', show: each => sayScope(each.scope) },
              { title: 'Since', show: each => <Time at={each.createdAt} /> },
              { title: 'Last seen', show: each => <Time at={each.lastSeenAt} /> },
              { title: 'Ends', show: each => <Time at={each.expiresAt} /> },
              {
                title: 'End',
                show: each =>
                  each.id === self.value?.session?.id ? (
                    'this one'
                  ) : mayWrite.value ? (
                    <End what="End this session" path={`/sessions/${each.id}`} reload={sessions.reload} />
                  ) : null,
              },
            ]}
          />
        )}
      </Show>
    </>
  );
}

function End({ what, path, reload }: { what: string; path: string; reload(): Promise<void> }) {
  const { busy, error, run } = useAction();
  const end = async () => {
    await callApi('DELETE', path);
    await reload();
  };
  return (
    <>
      <button type="button" class="bad" disabled={busy} onClick={() => void run(end)}>
        {what}
      </button>
      <Failure message={error} />
    </>
  );
}
