import { useEffect, useState } from 'preact/hooks';
import { appendQuery, callApi, type Delivery, type Endpoint, type Page } from '../api.ts';
import { linkTo, place, visit } from '../router.ts';
import { Pager, readFilters } from '../shell/pager.tsx';
import { Chip, Empty, Screen, SelectField, Show, TextField, Time, useLoaded } from '../ui.tsx';

const FILTERS = ['endpointId', 'status', 'type', 'email', 'contactId', 'cursor'];
const STATUSES = ['queued', 'processed', 'ignored', 'waiting', 'failed', 'dead', 'rejected'];

/** The webhook log, newest first; what is looked for stands in the address. */
export function DeliveryList() {
  const filters = readFilters(place.value.query, FILTERS);
  const path = appendQuery('/deliveries', { ...filters, perPage: '25' });
  const page = useLoaded(path, () => callApi<Page<Delivery>>('GET', path));
  const isNarrowed = Object.entries(filters).some(([name, value]) => value && name !== 'cursor');
  return (
    <Screen
      title="Deliveries"
      actions={
        <button type="button" onClick={() => void page.reload()}>
          Look again
        </button>
      }
    >
      <Filters filters={filters} />
      <Show of={page}>
        {shown =>
          shown.data.length ? (
            <>
              <Rows rows={shown.data} />
              <Pager screen="deliveries" filters={filters} page={shown} />
            </>
          ) : isNarrowed ? (
            <Empty>
              Nothing matches. <a href={linkTo(['deliveries'])}>Show all deliveries</a>.
            </Empty>
          ) : (
            <Empty>
              No webhook came yet. <a href={linkTo(['endpoints'])}>Set up an endpoint</a>, then its webhooks show here,
              with what each did and why.
            </Empty>
          )
        }
      </Show>
    </Screen>
  );
}

function Filters({ filters }: { filters: Record<string, string> }) {
  const endpoints = useLoaded('endpoints', () => callApi<Page<Endpoint>>('GET', '/endpoints?perPage=100'));
  const { type = '', email = '' } = filters;
  const [texts, setTexts] = useState({ type, email });
  useEffect(() => setTexts({ type, email }), [type, email]);
  const narrow = (part: Record<string, string>) =>
    visit(linkTo(['deliveries'], { ...filters, ...texts, ...part, cursor: null }));
  return (
    <form
      class="filters"
      aria-label="Filters"
      onSubmit={event => {
        event.preventDefault();
        narrow({});
      }}
    >
      <SelectField
        label="Endpoint"
        value={filters.endpointId ?? ''}
        onChange={endpointId => narrow({ endpointId })}
        options={[
          ['', 'all'],
          ...(endpoints.data?.data ?? []).map(({ id, name, provider }): [string, string] => [id, name || provider]),
        ]}
      />
      <SelectField
        label="Status"
        value={filters.status ?? ''}
        onChange={status => narrow({ status })}
        options={[['', 'all'], ...STATUSES.map((each): [string, string] => [each, each])]}
      />
      <TextField label="Type" value={texts.type} onInput={text => setTexts({ ...texts, type: text })} />
      <TextField label="Address" value={texts.email} onInput={text => setTexts({ ...texts, email: text })} />
      <button type="submit">Filter</button>
    </form>
  );
}

function Rows({ rows }: { rows: Delivery[] }) {
  return (
    <div class="wide">
      <table>
        <thead>
          <tr>
            <th scope="col">Received</th>
            <th scope="col">Status</th>
            <th scope="col">Type</th>
            <th scope="col">What it did</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(each => (
            <tr key={each.id}>
              <td>
                <Time at={each.receivedAt} />
              </td>
              <td>
                <Chip state={each.status} />
              </td>
              <td>
                <a href={linkTo(['deliveries', each.id])}>{each.type || 'unknown'}</a>
              </td>
              <td>{each.message}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
