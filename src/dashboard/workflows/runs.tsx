import type { z } from 'zod';
import type { run } from '../../http/v1/workflowShapes.ts';
import { linkTo, place } from '../router.ts';
import { type Column, List } from '../shell/list.tsx';
import { Chip, Time } from '../ui.tsx';
import type { Workflow } from './graph.ts';
import { findNodeType } from './nodeTypes.ts';

type Run = z.infer<typeof run>;

const STATUSES = ['active', 'held', 'completed', 'exited', 'failed', 'cut'];

/** Who went through a workflow; of one node where the address says so. */
export function Runs({ workflow }: { workflow: Workflow }) {
  const { query } = place.value;
  const [nodeId, outcome] = [query.get('nodeId'), query.get('outcome')];
  const columns: Column<Run>[] = [
    { title: 'Began', show: each => <Time at={each.createdAt} /> },
    { title: 'State', show: each => <Chip state={each.status} /> },
    { title: 'Run', show: each => <a href={linkTo(['runs', each.id])}>its steps</a> },
    { title: 'Contact', show: each => <a href={linkTo(['contacts', each.contactId])}>{each.contactId}</a> },
    {
      title: 'Where',
      show: each => `${findNodeType(workflow.nodes[each.nodeId]?.typeName ?? '').title} ${each.nodeId}`.trim(),
    },
    { title: 'Goes on', show: each => <Time at={each.nextAt} /> },
    { title: 'Why it ended', show: each => each.reason ?? <span class="faint">–</span> },
  ];
  return (
    <>
      {nodeId && (
        <p class="step">
          Who came to <code>{nodeId}</code> and there to “{outcome}”.{' '}
          <a href={linkTo(['workflows', workflow.id], { tab: 'runs' })}>Show everybody</a>
        </p>
      )}
      <List<Run>
        at={['workflows', workflow.id]}
        kept={['tab']}
        hidden={['nodeId', 'outcome', 'contactId']}
        api={`/workflows/${workflow.id}/runs`}
        filters={[{ name: 'status', label: 'State', options: STATUSES.map(each => [each, each]) }]}
        columns={columns}
        empty={
          workflow.state === 'running'
            ? 'Nobody went through yet. It waits for its trigger.'
            : 'Nobody went through yet. Start the workflow first.'
        }
      />
    </>
  );
}
