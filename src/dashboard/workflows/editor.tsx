import { useEffect, useState } from 'preact/hooks';
import { ApiError, callApi } from '../api.ts';
import { mayWrite } from '../session.ts';
import { Canvas } from './canvas.tsx';
import type { Choices } from './choices.ts';
import { DryRun } from './dryRun.tsx';
import { type Graph, insertNode, sortProblems, type Workflow } from './graph.ts';
import { Inspector } from './inspector.tsx';
import type { Counts } from './list.tsx';
import { NodeCounts } from './nodeCounts.tsx';
import { findNodeType } from './nodeTypes.ts';

interface Props {
  workflow: Workflow;
  choices: Choices;
  counts: Counts;
  show(changed: Workflow): void;
  reload(): Promise<void>;
}

const MAX_UNDOS = 50;

/** What is changed and not saved yet, with the way back. */
function useDraft(saved: Workflow) {
  const [draft, setDraft] = useState<{ graph: Graph; former: Graph[] } | null>(null);
  useEffect(() => setDraft(null), [saved.workflowRevisionId]);
  const graph: Graph = draft?.graph ?? { rootNodeId: saved.rootNodeId, nodes: saved.nodes };
  return {
    graph,
    isChanged: draft !== null,
    change: (next: Graph) =>
      setDraft(before => ({ graph: next, former: [...(before?.former ?? []), graph].slice(-MAX_UNDOS) })),
    undo: () =>
      setDraft(before => {
        const last = before?.former.at(-1);
        return last && before && before.former.length > 1 ? { graph: last, former: before.former.slice(0, -1) } : null;
      }),
    drop: () => setDraft(null),
  };
}

/** What went wrong with a save: at the nodes, or with the whole. */
interface Refusal {
  problems: Map<string, string[]>;
  conflict: string | null;
}
const NONE: Refusal = { problems: new Map(), conflict: null };

export function Editor({ workflow, choices, counts, show, reload }: Props) {
  const draft = useDraft(workflow);
  const [chosen, setChosen] = useState<string | null>(null);
  const [refusal, setRefusal] = useState(NONE);
  const [way, setWay] = useState<ReadonlySet<string>>(new Set());
  const [busy, setBusy] = useState(false);
  const { graph } = draft;
  const change = (next: Graph) => {
    setRefusal(NONE);
    draft.change(next);
  };
  /** `more`: what a conflict is answered with. */
  const save = async (more: Record<string, unknown> = {}) => {
    setBusy(true);
    try {
      const body = { expectedRevisionId: workflow.workflowRevisionId, ...graph, ...more };
      const changed = await callApi<Workflow>('PUT', `/workflows/${workflow.id}/graph`, body);
      setRefusal(NONE);
      draft.drop();
      show(changed);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      const isConflict = error instanceof ApiError && error.status === 409;
      setRefusal(isConflict ? { ...NONE, conflict: message } : { problems: sortProblems(message), conflict: null });
    } finally {
      setBusy(false);
    }
  };
  const overwrite = async () => {
    const { workflowRevisionId } = await callApi<Workflow>('GET', `/workflows/${workflow.id}`);
    await save({ expectedRevisionId: workflowRevisionId });
  };
  const general = refusal.problems.get('') ?? [];
  return (
    <>
      {draft.isChanged && (
        <div class="row save">
          <p class="note">Changed, and not saved yet: runs follow what is saved.</p>
          <button type="button" class="main" disabled={busy} onClick={() => void save()}>
            Save the workflow
          </button>
          <button type="button" onClick={draft.undo}>
            Undo
          </button>
          <button type="button" onClick={draft.drop}>
            Drop the changes
          </button>
        </div>
      )}
      <Problems refusal={refusal} general={general} choose={setChosen} />
      {refusal.conflict !== null && (
        <Conflict
          message={refusal.conflict}
          discard={() => void save({ queuedContactPolicy: 'discard' })}
          overwrite={() => void overwrite()}
          reload={() => {
            setRefusal(NONE);
            draft.drop();
            void reload();
          }}
        />
      )}
      <div class={chosen ? 'editor open' : 'editor'}>
        <Canvas
          {...{ graph, chosen, way }}
          names={choices}
          counts={counts.nodes}
          problems={refusal.problems}
          choose={id => setChosen(chosen === id ? null : id)}
          insert={
            mayWrite.value
              ? (edge, typeName) => {
                  const made = insertNode(graph, edge, typeName, findNodeType(typeName).fresh);
                  change(made.graph);
                  setChosen(made.id);
                }
              : undefined
          }
        />
        {chosen !== null && (
          <div class="side">
            {mayWrite.value && (
              <Inspector
                {...{ graph, choices, change }}
                id={chosen}
                problems={refusal.problems.get(chosen) ?? []}
                close={() => {
                  setChosen(null);
                  document.getElementById(`node-${chosen}`)?.focus();
                }}
              />
            )}
            <NodeCounts workflowId={workflow.id} id={chosen} counts={counts.nodes[chosen] ?? {}} />
          </div>
        )}
      </div>
      {mayWrite.value && !draft.isChanged && <DryRun id={workflow.id} showWay={setWay} />}
    </>
  );
}

interface ProblemProps {
  refusal: Refusal;
  general: string[];
  choose(id: string): void;
}

/** What is wrong, each a way to its node. */
function Problems({ refusal, general, choose }: ProblemProps) {
  const nodes = [...refusal.problems].filter(([id]) => id !== '');
  if (general.length + nodes.length === 0) return null;
  return (
    <div class="failure" role="alert">
      <p>It was not saved: {general.join('; ')}</p>
      <ul>
        {nodes.map(([id, texts]) => (
          <li key={id}>
            <button type="button" onClick={() => choose(id)}>
              {id}
            </button>{' '}
            {texts.join('; ')}
          </li>
        ))}
      </ul>
    </div>
  );
}

interface ConflictProps {
  message: string;
  discard(): void;
  overwrite(): void;
  reload(): void;
}

/** Either somebody else saved meanwhile, or contacts stand at nodes that go away. */
function Conflict({ message, discard, overwrite, reload }: ConflictProps) {
  const isStale = message.startsWith('expectedRevisionId');
  return (
    <div class="failure" role="alert">
      <p>
        {isStale
          ? 'Somebody else changed this workflow since you opened it. Nothing of yours is saved yet.'
          : message.replace(/ Keep those nodes.*$/, '')}
      </p>
      <p class="row">
        {isStale ? (
          <button type="button" class="bad" onClick={overwrite}>
            Save mine in place of theirs
          </button>
        ) : (
          <button type="button" class="bad" onClick={discard}>
            Save, and let these contacts leave
          </button>
        )}
        <button type="button" onClick={reload}>
          Drop mine and show what is saved
        </button>
      </p>
    </div>
  );
}
