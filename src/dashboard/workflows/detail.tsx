import { callApi } from '../api.ts';
import { linkTo, place } from '../router.ts';
import { mayWrite } from '../session.ts';
import { Chip, Failure, Screen, Show, useAction, useLoaded } from '../ui.tsx';
import { type Choices, loadChoices } from './choices.ts';
import { Editor } from './editor.tsx';
import type { Workflow } from './graph.ts';
import { type Counts, RunCounts } from './list.tsx';
import { Runs } from './runs.tsx';
import { WorkflowSettings } from './settings.tsx';

interface Whole {
  workflow: Workflow;
  choices: Choices;
  counts: Counts;
}

async function loadWhole(id: string): Promise<Whole> {
  const path = `/workflows/${encodeURIComponent(id)}`;
  const [workflow, choices, counts] = await Promise.all([
    callApi<Workflow>('GET', path),
    loadChoices(),
    callApi<Counts>('GET', `${path}/counts`),
  ]);
  return { workflow, choices, counts };
}

const TABS = [
  ['graph', 'Steps'],
  ['runs', 'Who went through'],
  ['settings', 'Settings'],
] as const;

/** One workflow: what it does, who is in it, and its switches. */
export function WorkflowDetail({ id }: { id: string }) {
  const whole = useLoaded(id, () => loadWhole(id));
  const tab = place.value.query.get('tab') ?? 'graph';
  return (
    <Screen
      title={whole.data?.workflow.name ?? 'Workflow'}
      actions={whole.data && <Chip state={whole.data.workflow.state} />}
    >
      <Show of={whole}>
        {({ workflow, choices, counts }) => {
          const show = (changed: Workflow) => whole.set({ workflow: changed, choices, counts });
          return (
            <>
              {workflow.description && <p>{workflow.description}</p>}
              <Switches workflow={workflow} show={show} />
              <nav class="tabs" aria-label="Parts of the workflow">
                {TABS.map(([name, text]) => (
                  <a
                    key={name}
                    href={linkTo(['workflows', id], { tab: name })}
                    aria-current={tab === name ? 'page' : undefined}
                  >
                    {text}
                  </a>
                ))}
              </nav>
              {tab === 'runs' && <Runs workflow={workflow} />}
              {tab === 'settings' && <WorkflowSettings workflow={workflow} choices={choices} show={show} />}
              {tab === 'graph' && (
                <Editor workflow={workflow} choices={choices} counts={counts} show={show} reload={whole.reload} />
              )}
            </>
          );
        }}
      </Show>
    </Screen>
  );
}

const SWITCHES: Record<Workflow['state'], [verb: string, text: string][]> = {
  draft: [['start', 'Start it']],
  running: [
    ['pause', 'Pause it'],
    ['stop', 'Stop it'],
  ],
  paused: [
    ['resume', 'Resume it'],
    ['stop', 'Stop it'],
  ],
  stopped: [['start', 'Start it again']],
};
const MEANS: Record<Workflow['state'], string> = {
  draft: 'Nobody enters yet.',
  running: 'Its trigger is heard.',
  paused: 'Everybody keeps their place; who enters within a day waits for the resume.',
  stopped: 'Everybody left and nobody enters.',
};

function Switches({ workflow, show }: { workflow: Workflow; show(changed: Workflow): void }) {
  const { busy, error, run } = useAction();
  const { id, state } = workflow;
  const turn = (verb: string) => run(async () => show(await callApi<Workflow>('POST', `/workflows/${id}/${verb}`)));
  return (
    <section aria-label="State">
      <div class="row state">
        <p class="step">
          {MEANS[state]} Runs: <RunCounts key={workflow.updatedAt} id={id} />.
        </p>
        {mayWrite.value &&
          SWITCHES[state].map(([verb, text]) => (
            <button
              key={verb}
              type="button"
              class={verb === 'stop' ? 'bad' : verb === 'start' || verb === 'resume' ? 'main' : ''}
              disabled={busy}
              onClick={() => void turn(verb)}
            >
              {text}
            </button>
          ))}
      </div>
      <Failure message={error} />
    </section>
  );
}
