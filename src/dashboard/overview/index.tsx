import { useEffect } from 'preact/hooks';
import { appendQuery, callApi, type Delivery, type Page } from '../api.ts';
import { linkTo, place } from '../router.ts';
import { mayWrite } from '../session.ts';
import { Chip, Screen, Show, Time, useLoaded } from '../ui.tsx';
import { Chart } from './chart.tsx';
import { gatherBars, OUTCOMES, type Stats } from './stats.ts';

const REFRESH_MS = 10_000;
const LATEST = 8;
const MAX_BARS = 72;
const HOUR_MS = 3_600_000;
const SPANS: Record<string, { text: string; hours: number; resolution: 'minute' | 'hour' }> = {
  hour: { text: 'The last hour', hours: 1, resolution: 'minute' },
  day: { text: 'Day', hours: 24, resolution: 'hour' },
  month: { text: '30 days', hours: 720, resolution: 'hour' },
};

async function loadWhole(span: string) {
  const { hours, resolution } = SPANS[span] ?? { hours: 1, resolution: 'minute' };
  const since = new Date(Date.now() - hours * HOUR_MS).toISOString();
  const [stats, latest] = await Promise.all([
    callApi<Stats>('GET', appendQuery('/stats', { since, resolution })),
    callApi<Page<Delivery>>('GET', `/deliveries?perPage=${LATEST}`),
  ]);
  return { stats, latest: latest.data };
}

/** Where one comes in: what to do next, what goes on, what needs a look, what came last. */
export function Route() {
  const asked = place.value.query.get('span') ?? 'hour';
  const span = Object.hasOwn(SPANS, asked) ? asked : 'hour';
  const whole = useLoaded(`overview ${span}`, () => loadWhole(span));
  useEffect(() => {
    const timer = setInterval(() => document.hidden || void whole.reload(), REFRESH_MS);
    return () => clearInterval(timer);
  }, [whole.reload]);
  return (
    <Screen title="Overview">
      <Show of={whole}>
        {({ stats, latest }) => (
          <>
            {mayWrite.value && !stats.setup.done && <Checklist of={stats} />}
            <Tiles of={stats} />
            <Attention of={stats} />
            <Webhooks of={stats} span={span} />
            <Latest rows={latest} />
          </>
        )}
      </Show>
    </Screen>
  );
}

/** Where each step is done. */
const PLACES: Record<string, string[]> = {
  endpoint: ['endpoints', 'add'],
  secret: ['endpoints'],
  webhook: ['endpoints'],
  mail: ['settings', 'server'],
  workflow: ['workflows', 'add'],
};

function Checklist({ of: { setup } }: { of: Stats }) {
  return (
    <section aria-labelledby="set-up">
      <h2 id="set-up">To set up</h2>
      <ol class="checklist">
        {setup.steps.map(each => (
          <li key={each.name} class={each.done ? 'done' : ''}>
            <span aria-hidden="true">{each.done ? '✓' : '○'}</span>{' '}
            {each.done ? each.sentence : <a href={linkTo(PLACES[each.name] ?? ['endpoints'])}>{each.sentence}</a>}
            {each.done && <span class="unseen"> (done)</span>}
          </li>
        ))}
      </ol>
    </section>
  );
}

const sayMs = (ms: number | null): string => (ms === null ? '–' : `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`);

function Tiles({ of: { contacts, mails, totals, waiting } }: { of: Stats }) {
  const say = ({ count, isCapped }: { count: number; isCapped: boolean }) => (isCapped ? `${count}+` : count);
  const tiles: [name: string, value: string | number, link: string][] = [
    ['Contacts', contacts.total, linkTo(['contacts'])],
    ['Half answered within', sayMs(totals.p50Ms), linkTo(['deliveries'])],
    ['99 % answered within', sayMs(totals.p99Ms), linkTo(['deliveries'])],
    ['Webhooks that wait', waiting.backlog, linkTo(['deliveries'], { status: 'queued' })],
    ['Mails that wait', say(mails.queued), linkTo(['mails'], { state: 'queued' })],
    ['Mails held', say(mails.held), linkTo(['mails'], { state: 'held' })],
    ['Mails given up', say(mails.failed), linkTo(['mails'], { state: 'failed' })],
    ['Mails came back', say(mails.bounced), linkTo(['mails'], { state: 'bounced' })],
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

const OLDEST: ['oldestQueued' | 'oldestFailed' | 'oldestWaiting', string][] = [
  ['oldestQueued', 'waits for its turn'],
  ['oldestFailed', 'failed and will be tried again'],
  ['oldestWaiting', 'waits until its person is known'],
];

function Attention({ of: { attention, waiting } }: { of: Stats }) {
  const oldest = OLDEST.flatMap(([name, text]) => {
    const found = waiting[name];
    return found ? [{ ...found, text }] : [];
  });
  if (attention.length + oldest.length === 0) return null;
  return (
    <section aria-labelledby="attention">
      <h2 id="attention">Needs a look</h2>
      <ul class="steps">
        {oldest.map(each => (
          <li key={each.id}>
            The oldest <a href={linkTo(['deliveries', each.id])}>webhook</a> that {each.text} came{' '}
            <Time at={each.receivedAt} />
          </li>
        ))}
      </ul>
      <ul class="cards">
        {attention.map(each => (
          <li class="card" key={each.id}>
            <h3>
              <a href={linkTo(['endpoints', each.id])}>{each.name || each.provider}</a> <Chip state={each.state} />
            </h3>
            <p>{each.nextStep}</p>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Webhooks({ of: { slots, totals }, span }: { of: Stats; span: string }) {
  return (
    <section aria-labelledby="webhooks">
      <div class="heading">
        <h2 id="webhooks">Webhooks</h2>
        <nav class="row" aria-label="Span of time">
          {Object.entries(SPANS).map(([name, { text }]) => (
            <a key={name} href={linkTo(['overview'], { span: name })} aria-current={span === name ? 'page' : undefined}>
              {text}
            </a>
          ))}
        </nav>
      </div>
      <Chart bars={gatherBars(slots, MAX_BARS)} isByDay={span === 'month'} />
      <p class="faint">
        In all: {OUTCOMES.map(outcome => `${totals[outcome]} ${outcome}`).join(', ')}; {totals.mailsSent} mails went
        out, {totals.mailsFailed} failed.
      </p>
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
