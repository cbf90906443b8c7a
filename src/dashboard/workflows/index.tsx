import { AddWorkflow } from './add.tsx';
import { WorkflowDetail } from './detail.tsx';
import { WorkflowList } from './list.tsx';
import { RunDetail } from './run.tsx';

export function Route({ path: [screen, id] }: { path: string[] }) {
  if (screen === 'runs' && id) return <RunDetail key={id} id={id} />;
  if (id === 'add') return <AddWorkflow />;
  return id ? <WorkflowDetail key={id} id={id} /> : <WorkflowList />;
}
