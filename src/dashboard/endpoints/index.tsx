import { AddEndpoint } from './add.tsx';
import { EndpointDetail } from './detail.tsx';
import { EndpointList } from './list.tsx';

export function Route({ path: [, id] }: { path: string[] }) {
  if (id === 'add') return <AddEndpoint />;
  return id ? <EndpointDetail key={id} id={id} /> : <EndpointList />;
}
