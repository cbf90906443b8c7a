import { MailDetail } from './detail.tsx';
import { MailList } from './list.tsx';
import { Suppressions } from './suppressions.tsx';

export function Route({ path: [screen, id] }: { path: string[] }) {
  if (screen === 'suppressions') return <Suppressions />;
  return id ? <MailDetail key={id} id={id} /> : <MailList />;
}
