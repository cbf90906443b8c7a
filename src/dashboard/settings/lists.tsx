import { useState } from 'preact/hooks';
import { callApi } from '../api.ts';
import { linkTo } from '../router.ts';
import { mayWrite } from '../session.ts';
import { Table } from '../shell/list.tsx';
import { CheckField, Empty, Failure, Show, TextField, useAction, useLoaded } from '../ui.tsx';

interface WholeList {
  id: string;
  name: string;
  description: string | null;
  isPublic: boolean;
}
interface Rename {
  list: WholeList;
  reload(): Promise<void>;
}

/** Mailing lists: made, renamed, offered on the preference page, removed. */
export function Lists() {
  const lists = useLoaded('lists', () => callApi<WholeList[]>('GET', '/lists'));
  return (
    <>
      {mayWrite.value && <Add reload={lists.reload} />}
      <Show of={lists}>
        {all =>
          all.length ? (
            <Table
              rows={all}
              columns={[
                {
                  title: 'Name',
                  show: each => <a href={linkTo(['contacts'], { listId: each.id })}>{each.name}</a>,
                },
                { title: 'Description', show: each => each.description },
                { title: 'On the preference page', show: each => (each.isPublic ? 'yes' : 'no') },
                { title: 'Id', show: each => <code>{each.id}</code> },
                ...(mayWrite.value
                  ? [
                      {
                        title: 'Change',
                        show: (each: WholeList) => <Change key={each.id} list={each} reload={lists.reload} />,
                      },
                    ]
                  : []),
              ]}
            />
          ) : (
            <Empty>There are no lists yet. Make the first one: events of an endpoint can put contacts on it.</Empty>
          )
        }
      </Show>
    </>
  );
}

function Add({ reload }: { reload(): Promise<void> }) {
  const [name, setName] = useState('');
  const { busy, error, run } = useAction();
  const add = async () => {
    await callApi('POST', '/lists', { name });
    setName('');
    await reload();
  };
  return (
    <form
      class="row"
      onSubmit={event => {
        event.preventDefault();
        void run(add);
      }}
    >
      <TextField label="New list" value={name} onInput={setName} required />
      <button type="submit" disabled={busy}>
        Make the list
      </button>
      <Failure message={error} />
    </form>
  );
}

function Change({ list, reload }: Rename) {
  const [name, setName] = useState(list.name);
  const [description, setDescription] = useState(list.description ?? '');
  const [isPublic, setPublic] = useState(list.isPublic);
  const { busy, error, run } = useAction();
  const save = async () => {
    await callApi('PATCH', `/lists/${list.id}`, { name, description: description || null, isPublic });
    await reload();
  };
  const remove = async () => {
    await callApi('DELETE', `/lists/${list.id}`);
    await reload();
  };
  return (
    <details class="plain">
      <summary aria-label={`Change ${list.name}`}>Change</summary>
      <form
        onSubmit={event => {
          event.preventDefault();
          void run(save);
        }}
      >
        <TextField label="Name" value={name} onInput={setName} required />
        <TextField label="Description" value={description} onInput={setDescription} />
        <CheckField label="Readers may choose it on the preference page" value={isPublic} onChange={setPublic} />
        <Failure message={error} />
        <p class="row">
          <button type="submit" disabled={busy}>
            Save
          </button>
          <button type="button" class="bad" disabled={busy} onClick={() => void run(remove)}>
            Remove with its memberships
          </button>
        </p>
      </form>
    </details>
  );
}
