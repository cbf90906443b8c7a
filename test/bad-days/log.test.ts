// databases: sqlite
import { expect, test } from 'bun:test';
import { closeSync, openSync } from 'node:fs';
import { pino } from 'pino';
import { API_KEY, SECRETS, TestApp } from '../support/app.ts';
import { binary, emptyFolder, freePort } from '../support/binary.ts';

const flat = async (response: Response) => {
  expect(response.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
  return (await response.json()) as Record<string, unknown>;
};

test.each(['json', 'pretty'])(
  'a log that can not be written (disk full, %s) fails no request and no stop',
  async format => {
    const port = await freePort();
    const full = openSync('/dev/full', 'w');
    const child = Bun.spawn([binary(), '--port', String(port)], {
      cwd: emptyFolder(),
      env: { INLET_API_KEY: API_KEY, INLET_LOG_FORMAT: format },
      stdin: 'ignore',
      stdout: full,
      stderr: 'pipe',
    });
    closeSync(full);
    const url = `http://127.0.0.1:${port}`;
    let up = false;
    for (let i = 0; i < 200 && !up; i++) {
      await Bun.sleep(25);
      up = await fetch(`${url}/health`).then(() => true, () => false); // biome-ignore format: one line
    }
    const made = await fetch(`${url}/api/v1/endpoints`, {
      method: 'POST',
      headers: { authorization: `Bearer ${API_KEY}` },
      body: JSON.stringify({ provider: 'stripe', secret: SECRETS.stripe }),
    });
    const { id } = (await flat(made)) as { id: string };
    const refused = await fetch(`${url}/webhooks/${id}`, { method: 'POST', body: '{}' });
    expect(refused.status).toBe(401);
    expect(await flat(refused)).toMatchObject({ success: false });
    child.kill('SIGTERM');
    expect(await child.exited).toBe(0);
    expect(await child.stderr.text()).toBe('');
  },
  20_000,
);

test('what throws past everything is a flat 500, never a page with source and paths', async () => {
  const log = pino(
    { level: 'trace' },
    {
      write: () => {
        throw new Error('MARKED at /src/log.ts');
      },
    },
  );
  const app = await TestApp.open({}, { port: 0 });
  const { port } = new URL((await app.app.start()).url);
  const id = await app.endpoint('stripe');
  Object.assign(app.app.ctx, { log });
  const answer = await fetch(`http://127.0.0.1:${port}/webhooks/${id}`, { method: 'POST', body: '{}' });
  expect(answer.status).toBe(500);
  const text = await answer.clone().text();
  expect(text).not.toMatch(/MARKED|\/src|<html|stack/i);
  expect(await flat(answer)).toEqual({ success: false, message: 'Something went wrong on our side.' });
  expect((await fetch(`http://127.0.0.1:${port}/health`)).status).toBe(200);
  await app.stop();
});
