import { AddMessage } from './add.tsx';
import { MessageDetail } from './detail.tsx';
import { MessageList } from './list.tsx';
import { TransactionalDetail } from './transactionalDetail.tsx';
import { TransactionalList } from './transactionalList.tsx';

export function Route({ path: [screen, id] }: { path: string[] }) {
  if (screen === 'transactional') return id ? <TransactionalDetail key={id} id={id} /> : <TransactionalList />;
  if (id === 'add') return <AddMessage />;
  return id ? <MessageDetail key={id} id={id} /> : <MessageList />;
}
