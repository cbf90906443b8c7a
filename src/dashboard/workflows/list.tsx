import { callApi } from '../api.ts';
import { linkTo } from '../router.ts';
import { mayWrite } from '../session.ts';
import { type Column, ListScreen } from '../shell/list.tsx';
import { Chip, Time, useLoaded } from '../ui.tsx';

interface ShortWorkflow {
  id: string;
  name: string;
  state: string;
  updatedAt: string;
}
export interface Counts {
  runs: Record<string, number>;
  nodes: Record<string, Record<string, number>>;
}

const COLUMNS: Column<ShortWorkflow>[] = [
  { title: 'Name', show: each => <a href={linkTo(['workflows', each.id])}>{each.name}</a> },
  { title: 'State', show: each => <Chip state={each.state} /> },
  { title: 'Runs', show: each => <RunCounts id={each.id} /> },
  { title: 'Changed', show: each => <Time at={each.updatedAt} /> },
];

export function WorkflowList() {
  const add = mayWrite.value && (
    <a class="button main" href={linkTo(['workflows', 'add'])}>
      Make a workflow
    </a>
  );
  return (
    <ListScreen
      title="Workflows"
      actions={add}
      at={['workflows']}
      api="/workflows"
      columns={COLUMNS}
      perPage={10}
      empty={
        <>
          <p>
            A workflow does something for each contact to whom something happens: it waits, asks, sends mails. Begin
            with a recipe, or with an empty one.
          </p>
          {add}
        </>
      }
    />
  );
}

/** How many runs there are by state, each a link to who. */
export function RunCounts({ id }: { id: string }) {
  const counts = useLoaded(`counts ${id}`, () => callApi<Counts>('GET', `/workflows/${id}/counts`));
  const given = Object.entries(counts.data?.runs ?? {});
  if (!counts.data) return <span class="faint">{counts.error ?? '…'}</span>;
  if (!given.length) return <span class="faint">nobody yet</span>;
  return (
    <>
      {given.map(([status, n], at) => (
        <span key={status}>
          {at > 0 && ', '}
          <a href={linkTo(['workflows', id], { tab: 'runs', status })}>
            {n} {status}
          </a>
        </span>
      ))}
    </>
  );
}
