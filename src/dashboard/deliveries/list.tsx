import { callApi, type Delivery, type Endpoint, type Page } from '../api.ts';
import { linkTo } from '../router.ts';
import { type Column, ListScreen } from '../shell/list.tsx';
import { Chip, Time, useLoaded } from '../ui.tsx';

const STATUSES = ['queued', 'processed', 'ignored', 'waiting', 'failed', 'dead', 'rejected'];

const COLUMNS: Column<Delivery>[] = [
  { title: 'Received', show: each => <Time at={each.receivedAt} /> },
  { title: 'Status', show: each => <Chip state={each.status} /> },
  { title: 'Type', show: each => <a href={linkTo(['deliveries', each.id])}>{each.type || 'unknown'}</a> },
  { title: 'What it did', show: each => each.message },
];

/** The webhook log, newest first. */
export function DeliveryList() {
  const endpoints = useLoaded('endpoints', () => callApi<Page<Endpoint>>('GET', '/endpoints?perPage=100'));
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
      empty={
        <>
          No webhook came yet. <a href={linkTo(['endpoints'])}>Set up an endpoint</a>, then its webhooks show here, with
          what each did and why.
        </>
      }
    >
      {({ reload }) => (
        <p>
          <button type="button" onClick={() => void reload()}>
            Look again
          </button>
        </p>
      )}
    </ListScreen>
  );
}
