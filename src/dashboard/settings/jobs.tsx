import { callApi } from '../api.ts';
import { mayWrite } from '../session.ts';
import { type Column, List } from '../shell/list.tsx';
import { Chip, Failure, Time, useAction } from '../ui.tsx';

interface Job {
  id: string;
  kind: string;
  status: string;
  attempts: number;
  error: string | null;
  dueAt: string | null;
  createdAt: string;
}

const STATUSES = ['queued', 'done', 'dead'];
const COLUMNS: Column<Job>[] = [
  { title: 'Made', show: each => <Time at={each.createdAt} /> },
  { title: 'State', show: each => <Chip state={each.status} /> },
  { title: 'What', show: each => each.kind },
  { title: 'Starts', show: each => each.attempts },
  { title: 'Goes on', show: each => <Time at={each.dueAt} /> },
  { title: 'What went wrong', show: each => each.error },
];

/** Bulk work: under way, done, given up. */
export function Jobs() {
  return (
    <List<Job>
      at={['settings', 'jobs']}
      api="/jobs"
      filters={[{ name: 'status', label: 'State', options: STATUSES.map(each => [each, each]) }]}
      hidden={['kind']}
      columns={COLUMNS}
      empty="There was no bulk work yet: erasures, replays of many deliveries, changes of a property's type and the like show here."
    >
      {({ page, reload }) =>
        page?.data
          .filter(each => each.status === 'dead' && mayWrite.value)
          .map(each => <Retry key={each.id} job={each} reload={reload} />)
      }
    </List>
  );
}

function Retry({ job, reload }: { job: Job; reload(): Promise<void> }) {
  const { busy, error, run } = useAction();
  const retry = async () => {
    await callApi('POST', `/jobs/${job.id}/retry`);
    await reload();
  };
  return (
    <div class="note row">
      <p>
        {job.kind} was given up: what it was to do is not done. {job.error}
      </p>
      <button type="button" disabled={busy} onClick={() => void run(retry)}>
        Run it again
      </button>
      <Failure message={error} />
    </div>
  );
}
