import { DeliveryDetailScreen } from './detail.tsx';
import { DeliveryList } from './list.tsx';

export function Route({ path: [, id] }: { path: string[] }) {
  return id ? <DeliveryDetailScreen key={id} id={id} /> : <DeliveryList />;
}
