import { linkTo } from '../router.ts';
import { type Column, List } from '../shell/list.tsx';
import { Time } from '../ui.tsx';

type State = Record<string, unknown> | null;
interface Audit {
  id: string;
  at: string;
  actor: { kind: 'key' | 'session' | 'cli'; id: string | null; name: string | null };
  action: string;
  target: string | null;
  before: State;
  after: State;
  detail: State;
}

const ACTORS: Record<Audit['actor']['kind'], string> = { key: 'key', session: 'session', cli: 'command line' };

/** Where a changed thing is looked at, by how its id begins. */
const PLACES: Record<string, string[]> = {
  ep: ['endpoints'],
  wf: ['workflows'],
  em: ['messages'],
  tr: ['transactional'],
  sub: ['settings', 'webhooks'],
  dlv: ['deliveries'],
  mail: ['mails'],
};

const COLUMNS: Column<Audit>[] = [
  { title: 'When', show: each => <Time at={each.at} /> },
  {
    title: 'Who',
    show: ({ actor }) => (
      <>
        {ACTORS[actor.kind]} {actor.name}{' '}
        {actor.id && <a href={linkTo(['settings', 'audit'], { actor: actor.id })}>all of it</a>}
      </>
    ),
  },
  { title: 'Did', show: each => each.action },
  { title: 'To', show: each => <Target target={each.target} /> },
  { title: 'Change', show: each => <Change of={each} /> },
];

function Target({ target }: { target: string | null }) {
  const path = PLACES[target?.split('_')[0] ?? ''];
  if (target === null) return <span class="faint">–</span>;
  return path ? <a href={linkTo([...path, target])}>{target}</a> : <code>{target}</code>;
}

const sayValue = (value: unknown): string => (value === undefined ? 'nothing' : JSON.stringify(value));

/** Field by field: as it was → as it is since. */
function Change({ of: { before, after, detail } }: { of: Audit }) {
  const names = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])];
  if (names.length === 0) return <>{detail === null ? '' : sayValue(detail)}</>;
  return (
    <details class="plain">
      <summary>
        {before === null
          ? 'made'
          : after === null
            ? 'removed'
            : `${names.slice(0, 3).join(', ')}${names.length > 3 ? ' …' : ''}`}
      </summary>
      <ul class="steps">
        {names.map(name => (
          <li key={name}>
            {name}: {before !== null && <s>{sayValue(before[name])}</s>} {after !== null && sayValue(after[name])}
          </li>
        ))}
      </ul>
    </details>
  );
}

/** Every change of configuration, from wherever it was made. */
export function AuditLog() {
  return (
    <List
      at={['settings', 'audit']}
      api="/audit"
      filters={[
        { name: 'action', label: 'What was done' },
        { name: 'target', label: 'To what (id)' },
      ]}
      hidden={['actor', 'since', 'until']}
      columns={COLUMNS}
      empty="Nothing was changed yet. Every change of endpoints, lists, keys, workflows and messages is noted here."
    />
  );
}
