import { appendQuery } from '../api.ts';
import { place } from '../router.ts';

const FILTERS = ['q', 'name', 'userGroup', 'subscribed', 'listId', 'source', 'userId'];

/** Where the contacts that the list shows come as CSV: the browser saves it, by the cookie of the session. */
export function linkToExport(): string {
  const { query } = place.value;
  return appendQuery('../api/v1/contacts/export', Object.fromEntries(FILTERS.map(name => [name, query.get(name)])));
}
