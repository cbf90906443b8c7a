import { ContactDetail } from './detail.tsx';
import { ContactList } from './list.tsx';

export function Route({ path: [, id] }: { path: string[] }) {
  return id ? <ContactDetail key={id} id={id} /> : <ContactList />;
}
