import { expect, test } from 'bun:test';
import { emptyFolder, start } from '../support/binary.ts';
import { findWrongContacts } from '../support/selfCheck.ts';

const KEY = 'test-key-0123456789abcdefghij';
const ENV = { INLET_API_KEY: KEY, INLET_RATE_LIMIT: '0' };
const ROWS = 4000;

test('killed again and again, an import applies every row once', async () => {
  const cwd = emptyFolder();
  let server = await start({ cwd, env: ENV });
  const api = async (path: string, init: RequestInit = {}) => {
    const answer = await fetch(`${server.url}/api/v1${path}`, { ...init, headers: { authorization: `Bearer ${KEY}` } });
    return (await answer.json()) as { id: string; state: string; pagination: { totalResults: number } };
  };
  const rows = Array.from({ length: ROWS }, (_, i) => `p${i}@example.com,Ada ${i},${i % 7 ? i : 'none'}`);
  const body = `email,firstName,seats:x\n${rows.join('\n')}\n`;
  const columns = encodeURIComponent('{"seats:x":"seats:number"}');
  const { id } = await api(`/contacts/import?columns=${columns}`, { method: 'POST', body });
  let kills = 0;
  for (;;) {
    await Bun.sleep(250);
    const { state } = await api(`/imports/${id}`);
    if (state === 'done') break;
    expect(['queued', 'running']).toContain(state);
    if (kills < 3) {
      kills++;
      await server.kill9();
      server = await start({ cwd, env: ENV });
    }
  }
  expect(kills).toBeGreaterThan(0);
  const failed = Math.ceil(ROWS / 7);
  expect(await api(`/imports/${id}`)).toMatchObject({
    rows: ROWS,
    created: ROWS - failed,
    updated: 0,
    unchanged: 0,
    failed,
  });
  expect((await api('/contacts')).pagination.totalResults).toBe(ROWS - failed);
  await server.stop();
  expect(await findWrongContacts(cwd)).toEqual([]);
}, 60_000);
