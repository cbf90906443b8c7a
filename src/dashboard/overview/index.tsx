import { useEffect } from 'preact/hooks';
import { type Contact, callApi, type Delivery, type Endpoint, type Mail, type Page } from '../api.ts';
import { explainState } from '../endpoints/explainState.ts';
import { linkTo } from '../router.ts';
import { mayWrite } from '../session.ts';
import { Chip, Screen, Show, Time, useLoaded } from '../ui.tsx';
import { type Known, listSteps } from './checklist.ts';

const REFRESH_MS = 15_000;
const LATEST = 8;

interface Health {
  status: string;
  backlog?: number;
  deadJobs?: number;
}

async function loadWhole() {
  const [endpoints, deliveries, contacts, workflows, mail, failed, health] = await Promise.all([
    callApi<Page<Endpoint>>('GET', '/endpoints?perPage=100'),
    callApi<Page<Delivery>>('GET', `/deliveries?perPage=${LATEST}`),
    callApi<Page<Contact>>('GET', '/contacts?perPage=1'),
    callApi<Page<{ state: string }>>('GET', '/workflows?perPage=100'),
    callApi<Known['mail']>('GET', '/mail'),
    callApi<Page<Mail>>('GET', '/mails?state=failed&perPage=1'),
    fetch('../health', { credentials: 'same-origin' }).then((answer): Promise<Health> => answer.json()),
  ]);
  return {
    endpoints: endpoints.data,
    deliveries: deliveries.data,
    contacts,
    workflows: workflows.data,
    mail,
    failed,
    health,
  };
}
type Whole = Awaited<ReturnType<typeof loadWhole>>;

/** Where one comes in: what to do next, what needs a look, what came last. */
export function Route() {
  const whole = useLoaded('overview', loadWhole);
  useEffect(() => {
    const timer = setInterval(() => document.hidden || void whole.reload(), REFRESH_MS);
    return () => clearInterval(timer);
  }, [whole.reload]);
  return (
    <Screen title="Overview">
      <Show of={whole}>
        {found => (
          <>
            <Checklist of={found} />
            <Numbers of={found} />
            <Attention of={found} />
            <Latest rows={found.deliveries} />
          </>
        )}
      </Show>
    </Screen>
  );
}

function Checklist({ of: { endpoints, workflows, mail } }: { of: Whole }) {
  const steps = listSteps({ endpoints, workflows, mail });
  if (!mayWrite.value || steps.every(each => each.isDone)) return null;
  const next = steps.find(each => !each.isDone);
  return (
    <section aria-labelledby="set-up">
      <h2 id="set-up">To set up</h2>
      <ol class="checklist">
        {steps.map(each => (
          <li key={each.text} class={each.isDone ? 'done' : ''}>
            <span aria-hidden="true">{each.isDone ? '✓' : '○'}</span>{' '}
            {each.isDone ? each.text : <a href={linkTo(each.path)}>{each.text}</a>}
            {each.isDone && <span class="unseen"> (done)</span>}
            {each === next && each.hint && <p class="hint">{each.hint}</p>}
          </li>
        ))}
      </ol>
    </section>
  );
}

function Numbers({ of: { contacts, mail, failed, health, workflows } }: { of: Whole }) {
  const { totalResults, totalIsCapped } = contacts.pagination;
  const tiles: [name: string, value: string | number, link: string][] = [
    ['Contacts', totalIsCapped ? `${totalResults}+` : totalResults, linkTo(['contacts'])],
    ['Webhooks that wait', health.backlog ?? '–', linkTo(['deliveries'], { status: 'queued' })],
    ['Mails that wait', mail.queued, linkTo(['mails'], { state: 'queued' })],
    ['Mails held', mail.held, linkTo(['mails'], { state: 'held' })],
    ['Mails given up', failed.pagination.totalResults, linkTo(['mails'], { state: 'failed' })],
    ['Workflows running', workflows.filter(each => each.state === 'running').length, linkTo(['workflows'])],
  ];
  return (
    <ul class="tiles" aria-label="Numbers">
      {tiles.map(([name, value, link]) => (
        <li key={name}>
          <a href={link}>
            <strong>{value}</strong> <span>{name}</span>
          </a>
        </li>
      ))}
    </ul>
  );
}

function Attention({ of: { endpoints, mail, health } }: { of: Whole }) {
  const needy = endpoints.filter(each => each.state === 'failing' || each.state === 'needsSecret' || each.notes.length);
  const jobs = health.deadJobs ?? 0;
  if (!needy.length && !jobs && !mail.trouble && health.status === 'ok') return null;
  return (
    <section aria-labelledby="attention">
      <h2 id="attention">Needs a look</h2>
      {health.status !== 'ok' && (
        <p class="note">
          The server is in trouble. <a href={linkTo(['settings', 'server'])}>See what it says</a>.
        </p>
      )}
      {mail.trouble && (
        <p class="note">
          {mail.trouble} <a href={linkTo(['mails'])}>Mails</a>
        </p>
      )}
      {jobs > 0 && (
        <p class="note">
          {jobs} jobs were given up. <a href={linkTo(['settings', 'jobs'], { status: 'dead' })}>Look at them</a>.
        </p>
      )}
      <ul class="cards">
        {needy.map(each => (
          <li class="card" key={each.id}>
            <h3>
              <a href={linkTo(['endpoints', each.id])}>{each.name || each.provider}</a> <Chip state={each.state} />
            </h3>
            <p>{explainState(each) ?? each.notes[0]}</p>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Latest({ rows }: { rows: Delivery[] }) {
  if (rows.length === 0) return null;
  return (
    <section aria-labelledby="latest">
      <h2 id="latest">What came last</h2>
      <ul class="latest">
        {rows.map(each => (
          <li key={each.id}>
            <Chip state={each.status} /> <a href={linkTo(['deliveries', each.id])}>{each.type || 'unknown'}</a>{' '}
            <span class="faint">{each.message}</span> <Time at={each.receivedAt} />
          </li>
        ))}
      </ul>
    </section>
  );
}
