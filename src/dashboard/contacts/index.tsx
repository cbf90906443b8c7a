import { mayWrite } from '../session.ts';
import { ContactDetail } from './detail.tsx';
import { Import } from './import.tsx';
import { ImportDetail } from './importProgress.tsx';
import { ContactList } from './list.tsx';

export function Route({ path: [, id, importId] }: { path: string[] }) {
  if (id === 'import' && importId) return <ImportDetail key={importId} id={importId} />;
  if (id === 'import' && mayWrite.value) return <Import />;
  return id ? <ContactDetail key={id} id={id} /> : <ContactList />;
}
