import { createKey, listKeys, revokeKey } from '../access/keys.ts';
import type { Invocation } from './command.ts';
import { writeNoted } from './noteChange.ts';
import { readInvocationConfig, useStore } from './open.ts';
import { formatJson, formatTable, formatTime, stripControls } from './print.ts';

export async function create(i: Invocation): Promise<number> {
  const [name = ''] = i.args;
  const scope = i.switches.has('read-only') ? 'read' : 'all';
  const { row, key } = await useStore(readInvocationConfig(i), store =>
    writeNoted(store, { action: 'key.create', subject: 'key' }, tx => createKey(tx, name, Date.now(), scope)),
  );
  i.io.out(key);
  i.io.err(
    `Key ${row.id} "${stripControls(row.name)}" is shown only this once: keep it now. It works at once, also in a running server.`,
  );
  return 0;
}

export async function list(i: Invocation): Promise<number> {
  const rows = await useStore(readInvocationConfig(i), store => store.read(listKeys));
  if (i.switches.has('json')) {
    const shown = rows.map(({ id, name, hint, scope, createdAt, lastUsedAt }) => {
      return { id, name, hint, scope, createdAt: formatTime(createdAt), lastUsedAt: formatTime(lastUsedAt) };
    });
    i.io.out(formatJson(shown));
    return 0;
  }
  const cells = rows.map(r => [r.id, r.name, r.hint, r.scope, formatTime(r.createdAt), formatTime(r.lastUsedAt)]);
  i.io.out(
    rows.length
      ? formatTable(['ID', 'NAME', 'KEY', 'SCOPE', 'CREATED', 'LAST USED'], cells)
      : 'No API keys. Make one: inlet keys create NAME',
  );
  return 0;
}

export async function revoke(i: Invocation): Promise<number> {
  const [id = ''] = i.args;
  const row = await useStore(readInvocationConfig(i), store =>
    writeNoted(store, { action: 'key.revoke', subject: 'key', target: id }, tx => revokeKey(tx, id)),
  );
  i.io.out(
    `Revoked ${row.id} "${stripControls(row.name)}" (${row.hint}). A running server refuses it within a second.`,
  );
  return 0;
}
