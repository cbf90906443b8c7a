import { callApi, type Delivery, type Endpoint, type Page } from '../api.ts';
import { linkTo, place } from '../router.ts';
import { type Column, ListScreen } from '../shell/list.tsx';
import { Chip, Time, useLoaded } from '../ui.tsx';
import { useLiveDeliveries } from './live.ts';

const STATUSES = ['queued', 'processed', 'ignored', 'waiting', 'failed', 'dead', 'rejected'];

const COLUMNS: Column<Delivery>[] = [
  { title: 'Received', show: each => <Time at={each.receivedAt} /> },
  { title: 'Status', show: each => <Chip state={each.status} /> },
  { title: 'Type', show: each => <a href={linkTo(['deliveries', each.id])}>{each.type || 'unknown'}</a> },
  { title: 'What it did', show: each => each.message },
];

/** What the stream does not tell: pages behind the first, and whom a delivery is about. */
const STILL = ['cursor', 'email', 'contactId'];

/** The webhook log, newest first; what arrives is put in front by itself. */
export function DeliveryList() {
  const endpoints = useLoaded('endpoints', () => callApi<Page<Endpoint>>('GET', '/endpoints?perPage=100'));
  const live = useLiveDeliveries(!STILL.some(name => place.value.query.get(name)));
  const names = (endpoints.data?.data ?? []).map(({ id, name, provider }): [string, string] => [id, name || provider]);
  return (
    <ListScreen
      title="Deliveries"
      at={['deliveries']}
      api="/deliveries"
      filters={[
        { name: 'endpointId', label: 'Endpoint', options: names },
        { name: 'status', label: 'Status', options: STATUSES.map(each => [each, each]) },
        { name: 'type', label: 'Type' },
        { name: 'email', label: 'Address' },
      ]}
      hidden={['contactId']}
      columns={COLUMNS}
      revise={live.merge}
      empty={
        <>
          No webhook came yet. <a href={linkTo(['endpoints'])}>Set up an endpoint</a>, then its webhooks show here, with
          what each did and why.
        </>
      }
    >
      {({ reload }) => (
        <p class="row">
          {live.isOpen && (
            <button type="button" aria-pressed={live.isPaused} onClick={live.toggle}>
              {live.isPaused ? 'Go on' : 'Pause'}
            </button>
          )}
          <button type="button" onClick={() => void reload()}>
            Look again
          </button>
          <span role="status" class="faint">
            {live.isOpen && !live.isPaused && 'Live: what arrives shows here by itself.'}
            {live.held > 0 && ` ${live.held} more came. Go on, or look again, to see them.`}
          </span>
        </p>
      )}
    </ListScreen>
  );
}
