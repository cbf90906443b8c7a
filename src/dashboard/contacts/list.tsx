import type { Contact } from '../api.ts';
import { linkTo } from '../router.ts';
import { mayWrite } from '../session.ts';
import { type Column, type Filter, ListScreen } from '../shell/list.tsx';
import { Time } from '../ui.tsx';
import { linkToExport } from './export.ts';

const FILTERS: Filter[] = [
  { name: 'q', label: 'Address' },
  { name: 'name', label: 'First or last name' },
  { name: 'userGroup', label: 'User group' },
  {
    name: 'subscribed',
    label: 'Mail',
    options: [
      ['true', 'subscribed'],
      ['false', 'unsubscribed'],
    ],
  },
];

const COLUMNS: Column<Contact>[] = [
  { title: 'Address', show: each => <a href={linkTo(['contacts', each.id])}>{each.email}</a> },
  { title: 'Name', show: each => [each.firstName, each.lastName].filter(Boolean).join(' ') },
  { title: 'Group', show: each => each.userGroup },
  { title: 'Source', show: each => each.source },
  { title: 'Mail', show: each => (each.subscribed ? 'subscribed' : 'unsubscribed') },
  { title: 'Since', show: each => <Time at={each.createdAt} /> },
];

export function ContactList() {
  return (
    <ListScreen
      title="Contacts"
      actions={
        <>
          <a class="button" href={linkToExport()} download="contacts.csv">
            Export as CSV
          </a>
          {mayWrite.value && (
            <a class="button" href={linkTo(['contacts', 'import'])}>
              Import
            </a>
          )}
        </>
      }
      at={['contacts']}
      api="/contacts"
      filters={FILTERS}
      hidden={['listId', 'source', 'userId']}
      columns={COLUMNS}
      noMatch="Nobody matches: the address and the names are looked for by how they begin."
      empty={
        <>
          There are no contacts yet. They come with the first webhooks:{' '}
          <a href={linkTo(['endpoints'])}>set up an endpoint</a>.
        </>
      }
    />
  );
}
