import { useEffect, useState } from 'preact/hooks';
import { appendQuery, type Contact, callApi, type Page } from '../api.ts';
import { linkTo, place, visit } from '../router.ts';
import { Pager, readFilters } from '../shell/pager.tsx';
import { Empty, Screen, SelectField, Show, TextField, Time, useLoaded } from '../ui.tsx';

const FILTERS = ['q', 'name', 'userGroup', 'subscribed', 'listId', 'cursor'];

export function ContactList() {
  const filters = readFilters(place.value.query, FILTERS);
  const path = appendQuery('/contacts', { ...filters, perPage: '25' });
  const page = useLoaded(path, () => callApi<Page<Contact>>('GET', path));
  const isNarrowed = Object.entries(filters).some(([name, value]) => value && name !== 'cursor');
  return (
    <Screen title="Contacts">
      <Filters filters={filters} />
      <Show of={page}>
        {shown =>
          shown.data.length ? (
            <>
              <Rows rows={shown.data} />
              <Pager screen="contacts" filters={filters} page={shown} />
            </>
          ) : isNarrowed ? (
            <Empty>
              Nobody matches: the address and the names are looked for by how they begin.{' '}
              <a href={linkTo(['contacts'])}>Show all contacts</a>.
            </Empty>
          ) : (
            <Empty>
              There are no contacts yet. They come with the first webhooks:{' '}
              <a href={linkTo(['endpoints'])}>set up an endpoint</a>.
            </Empty>
          )
        }
      </Show>
    </Screen>
  );
}

function Filters({ filters }: { filters: Record<string, string> }) {
  const { q = '', name = '', userGroup = '' } = filters;
  const [texts, setTexts] = useState({ q, name, userGroup });
  useEffect(() => setTexts({ q, name, userGroup }), [q, name, userGroup]);
  const narrow = (part: Record<string, string>) =>
    visit(linkTo(['contacts'], { ...filters, ...texts, ...part, cursor: null }));
  return (
    <form
      class="filters"
      aria-label="Filters"
      onSubmit={event => {
        event.preventDefault();
        narrow({});
      }}
    >
      <TextField label="Address" value={texts.q} onInput={text => setTexts({ ...texts, q: text })} />
      <TextField label="First or last name" value={texts.name} onInput={text => setTexts({ ...texts, name: text })} />
      <TextField label="User group" value={texts.userGroup} onInput={text => setTexts({ ...texts, userGroup: text })} />
      <SelectField
        label="Mail"
        value={filters.subscribed ?? ''}
        onChange={subscribed => narrow({ subscribed })}
        options={[
          ['', 'all'],
          ['true', 'subscribed'],
          ['false', 'unsubscribed'],
        ]}
      />
      <button type="submit">Search</button>
    </form>
  );
}

function Rows({ rows }: { rows: Contact[] }) {
  return (
    <div class="wide">
      <table>
        <thead>
          <tr>
            <th scope="col">Address</th>
            <th scope="col">Name</th>
            <th scope="col">Group</th>
            <th scope="col">Source</th>
            <th scope="col">Mail</th>
            <th scope="col">Since</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(each => (
            <tr key={each.id}>
              <td>
                <a href={linkTo(['contacts', each.id])}>{each.email}</a>
              </td>
              <td>{[each.firstName, each.lastName].filter(Boolean).join(' ')}</td>
              <td>{each.userGroup}</td>
              <td>{each.source}</td>
              <td>{each.subscribed ? 'subscribed' : 'unsubscribed'}</td>
              <td>
                <Time at={each.createdAt} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
