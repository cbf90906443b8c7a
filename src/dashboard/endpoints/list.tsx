import { callApi, type Endpoint, type Page } from '../api.ts';
import { linkTo } from '../router.ts';
import { mayWrite } from '../session.ts';
import { Chip, Empty, Screen, Show, Time, useLoaded } from '../ui.tsx';
import { explainState } from './explainState.ts';

const loadAll = () => callApi<Page<Endpoint>>('GET', '/endpoints?perPage=100');

export function EndpointList() {
  const page = useLoaded('endpoints', loadAll);
  const add = mayWrite.value && (
    <a class="button main" href={linkTo(['endpoints', 'add'])}>
      Add an endpoint
    </a>
  );
  return (
    <Screen title="Endpoints" actions={add}>
      <Show of={page}>
        {({ data }) =>
          data.length ? (
            <ul class="cards">
              {data.map(each => (
                <Card key={each.id} endpoint={each} />
              ))}
            </ul>
          ) : (
            <Empty>
              <p>
                An endpoint is the address that a provider (Stripe, Clerk, Supabase, Polar) sends its webhooks to. Add
                the first one: it takes a minute.
              </p>
              {add}
            </Empty>
          )
        }
      </Show>
    </Screen>
  );
}

function Card({ endpoint }: { endpoint: Endpoint }) {
  const step = explainState(endpoint);
  return (
    <li class="card">
      <h2>
        <a href={linkTo(['endpoints', endpoint.id])}>{endpoint.name || endpoint.provider}</a>
        <Chip state={endpoint.state} />
      </h2>
      <p class="faint">
        {endpoint.provider} · last webhook <Time at={endpoint.lastReceivedAt} />
      </p>
      {step && <p>{step}</p>}
      {endpoint.notes.map(note => (
        <p key={note} class="note">
          {note}
        </p>
      ))}
    </li>
  );
}
