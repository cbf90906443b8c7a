import type { Store, Tx } from '../db/store.ts';
import { recordChange } from '../history/audit.ts';
import type { AuditSubject } from '../history/auditSubjects.ts';

/** What a command changes. `target`: its id; left out: what the command makes. */
interface CliChange {
  action: string;
  subject?: AuditSubject;
  target?: string;
}

/** Makes a change from the command line, and notes it in the same transaction. */
export const writeNoted = <T>(
  store: Store,
  { action, subject, target }: CliChange,
  run: (tx: Tx) => Promise<T>,
): Promise<T> =>
  store.write(async tx => {
    const actor = { kind: 'cli' as const, id: null };
    const change = { actor, action, subject: subject ?? null, target: target ?? null, person: null, detail: null };
    return (await recordChange(tx, change, Date.now(), () => run(tx))).result;
  });
