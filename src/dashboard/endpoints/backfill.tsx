import { useEffect, useState } from 'preact/hooks';
import type { z } from 'zod';
import type { backfillView } from '../../http/v1/shapes.ts';
import { appendQuery, callApi, type Endpoint, type Page, type Provider } from '../api.ts';
import { mayWrite } from '../session.ts';
import { Table } from '../shell/list.tsx';
import { CheckField, Chip, Failure, Show, Time, useAction, useLoaded } from '../ui.tsx';

type Backfill = z.infer<typeof backfillView>;

const POLL_MS = 1000;
const SHOWN = '5';
const isUnderWay = ({ state }: Backfill): boolean => state === 'queued' || state === 'running';

/** Who is at the provider already: read from there, tried before, with how far it is. */
export function Backfills({ endpoint, provider }: { endpoint: Endpoint; provider: Provider }) {
  const path = appendQuery(`/endpoints/${endpoint.id}/backfills`, { perPage: SHOWN });
  const all = useLoaded(path, () => callApi<Page<Backfill>>('GET', path));
  const open = all.data?.data.find(isUnderWay);
  const goesOn = open !== undefined;
  useEffect(() => {
    if (!goesOn) return;
    const timer = setInterval(() => document.hidden || void all.reload(), POLL_MS);
    return () => clearInterval(timer);
  }, [goesOn, all.reload]);
  return (
    <section aria-labelledby="backfill">
      <h2 id="backfill">Who is there already</h2>
      <p>
        A back-fill reads everybody {provider.name} has and applies them as webhooks are applied. Run again, it finds
        what webhooks missed and changes nothing else. Nobody is removed.
      </p>
      {mayWrite.value && endpoint.settings.apiKeySet !== true && (
        <p class="hint">It needs an apiKey of {provider.name}: set it below, in the settings.</p>
      )}
      {mayWrite.value && !goesOn && <Start endpointId={endpoint.id} reload={all.reload} />}
      {open && <Progress of={open} reload={all.reload} />}
      <Show of={all}>{({ data }) => data.length > 0 && <Past rows={data} />}</Show>
    </section>
  );
}

function Start({ endpointId, reload }: { endpointId: string; reload(): Promise<void> }) {
  const [triggerEvents, setTrigger] = useState(false);
  const { busy, error, run } = useAction();
  const start = (dryRun: boolean) =>
    run(async () => {
      await callApi('POST', `/endpoints/${endpointId}/backfill`, { dryRun, triggerEvents });
      await reload();
    });
  return (
    <>
      <CheckField
        label="Fire events for people the provider never told of"
        hint="Workflows start and outgoing webhooks are called for each of them."
        value={triggerEvents}
        onChange={setTrigger}
      />
      <Failure message={error} />
      <p class="row">
        <button type="button" disabled={busy} onClick={() => void start(true)}>
          Count what it would do
        </button>
        <button type="button" disabled={busy} onClick={() => void start(false)}>
          Read everybody
        </button>
      </p>
    </>
  );
}

function Progress({ of: one, reload }: { of: Backfill; reload(): Promise<void> }) {
  const { busy, error, run } = useAction();
  const cancel = async () => {
    await callApi('POST', `/backfills/${one.id}/cancel`);
    await reload();
  };
  return (
    <div class="note">
      <p role="status">
        {one.dryRun ? 'Counting' : 'Reading'}: {one.read} {one.total !== null && `of ${one.total} `}so far.
      </p>
      <p>
        <progress
          aria-label="How much is read"
          {...(one.total !== null && { max: Math.max(1, one.total), value: one.read })}
        />
      </p>
      {mayWrite.value && (
        <button type="button" disabled={busy} onClick={() => void run(cancel)}>
          End it
        </button>
      )}
      <Failure message={error} />
    </div>
  );
}

function Past({ rows }: { rows: Backfill[] }) {
  return (
    <Table
      rows={rows}
      columns={[
        { title: 'Started', show: each => <Time at={each.createdAt} /> },
        { title: 'State', show: each => <Chip state={each.state} /> },
        { title: 'What came of it', show: each => <Report of={each} /> },
      ]}
    />
  );
}

function Report({ of: one }: { of: Backfill }) {
  const skipped = Object.entries(one.skippedBecause).map(([why, many]) => `${why}: ${many}`);
  return (
    <>
      {one.dryRun && 'Only counted. '}
      {one.read} read: {one.created} created, {one.updated} updated, {one.known} as they were, {one.waiting} without an
      address, {one.skipped} skipped{skipped.length > 0 && ` (${skipped.join(', ')})`}.
      {one.released > 0 && ` ${one.released} webhooks had waited for them.`}
      {one.error !== null && <span class="says">{one.error}</span>}
    </>
  );
}
