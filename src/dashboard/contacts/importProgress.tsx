import { useEffect } from 'preact/hooks';
import type { z } from 'zod';
import type { importView } from '../../http/v1/shapes.ts';
import { callApi, readBeginning } from '../api.ts';
import { readFirstRows } from '../common/csv.ts';
import { linkTo, visit } from '../router.ts';
import { mayWrite } from '../session.ts';
import { type Column, List, Table } from '../shell/list.tsx';
import { Chip, Failure, Screen, Show, Time, useAction, useLoaded } from '../ui.tsx';

type ImportJob = z.infer<typeof importView>;

interface Failed {
  id: string;
  cells: string[];
}

const POLL_MS = 1000;
const SHOWN = 20; // rows of the report
const isUnderWay = ({ state }: ImportJob): boolean => state === 'queued' || state === 'running';
const describe = ({ rows, created, updated, unchanged, failed }: ImportJob): string =>
  `${rows} rows: ${created} created, ${updated} updated, ${unchanged} unchanged, ${failed} failed`;

const COLUMNS: Column<ImportJob>[] = [
  {
    title: 'Made',
    show: each => (
      <a href={linkTo(['contacts', 'import', each.id])}>
        <Time at={each.createdAt} />
      </a>
    ),
  },
  { title: 'State', show: each => <Chip state={each.state} /> },
  { title: 'What came of it', show: each => `${each.dryRun ? 'Only tried. ' : ''}${describe(each)}` },
];

export function PastImports() {
  return (
    <>
      <h2>Imports so far</h2>
      <List<ImportJob> at={['contacts', 'import']} api="/imports" columns={COLUMNS} empty="There was none yet." />
    </>
  );
}

/** How far one import is, and what it could not apply. */
export function ImportDetail({ id }: { id: string }) {
  const path = `/imports/${encodeURIComponent(id)}`;
  const job = useLoaded(id, () => callApi<ImportJob>('GET', path));
  const goesOn = job.data !== undefined && isUnderWay(job.data);
  useEffect(() => {
    if (!goesOn) return;
    const timer = setInterval(() => document.hidden || void job.reload(), POLL_MS);
    return () => clearInterval(timer);
  }, [goesOn, job.reload]);
  return (
    <Screen title="Import" actions={job.data && <Chip state={job.data.state} />}>
      <p>
        <a href={linkTo(['contacts', 'import'])}>All imports</a> · <a href={linkTo(['contacts'])}>Contacts</a>
      </p>
      <Show of={job}>
        {one => (
          <>
            {one.dryRun && <p class="note">Only tried: nothing was changed.</p>}
            <p>
              <progress aria-label="How much of the file is read" max={Math.max(1, one.bytes)} value={one.bytesDone} />
            </p>
            <p role="status">{describe(one)}.</p>
            <Failure message={one.error} />
            <h2>What the columns mean</h2>
            <dl class="facts">
              {Object.entries(one.columns).map(([header, meaning]) => (
                <div key={header}>
                  <dt>{header}</dt>
                  <dd>{meaning ?? <span class="faint">passed over</span>}</dd>
                </div>
              ))}
            </dl>
            {mayWrite.value && <Report of={one} path={path} />}
          </>
        )}
      </Show>
    </Screen>
  );
}

function Report({ of: one, path }: { of: ImportJob; path: string }) {
  const { busy, error, run } = useAction();
  const remove = async () => {
    await callApi('DELETE', path);
    visit(linkTo(['contacts', 'import']));
  };
  return (
    <>
      {one.failed > 0 && (
        <>
          <h2>Rows that failed</h2>
          <FailedRows key={one.failed} path={`${path}/report`} />
          <p>
            <a class="button" href={`../api/v1${path}/report`} download="import-report.csv">
              Download all of them, with their reasons
            </a>
          </p>
          <p class="hint">Mended, that file can be imported again.</p>
        </>
      )}
      <Failure message={error} />
      <details class="danger">
        <summary>{isUnderWay(one) ? 'End it' : 'Remove it'}</summary>
        <p>Its file and its report go; what it did to contacts stays.</p>
        <button type="button" class="bad" disabled={busy} onClick={() => void run(remove)}>
          {isUnderWay(one) ? 'End the import' : 'Remove the import'}
        </button>
      </details>
    </>
  );
}

/** The first ones: row, column and reason, then the row itself. */
function FailedRows({ path }: { path: string }) {
  const report = useLoaded(path, async () => readFirstRows(await readBeginning(path, 65_536), SHOWN + 1));
  return (
    <Show of={report}>
      {([header = [], ...rows]) => (
        <Table
          rows={rows.map((cells, at) => ({ id: `${at}`, cells }))}
          columns={header.map((title, at) => ({ title, show: ({ cells }: Failed) => cells[at] ?? '' }))}
        />
      )}
    </Show>
  );
}
