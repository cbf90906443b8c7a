// databases: sqlite
import { afterEach, beforeEach, expect, test } from 'bun:test';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../src/cli/run.ts';
import { onPostgres, TestApp } from './support/app.ts';

let app: TestApp;
beforeEach(async () => {
  app = await TestApp.open();
});
afterEach(() => app.stop());

test.skipIf(onPostgres)(
  'the command line refuses a secret of another kind, and names the one that is wanted',
  async () => {
    const id = await app.endpoint('stripe');
    const file = join(app.folder, 'secret');
    writeFileSync(file, 'sk_live_0123456789abcdefghijklmn\n');
    for (const words of [
      ['endpoints', 'set-secret', id],
      ['endpoints', 'add', 'stripe'],
    ]) {
      const said: string[] = [];
      const io = {
        env: { INLET_DATA_DIR: join(app.folder, 'data') },
        out: said.push.bind(said),
        err: said.push.bind(said),
      };
      expect(await run([...words, '--secret-file', file], io as never)).toBe(1);
      expect(said.join('\n')).toContain('is an API key, not a signing secret. Wanted is the signing secret (whsec_…)');
      expect(said.join('\n')).not.toContain('0123456789');
    }
    expect((await app.api('GET', '/endpoints')).body.data).toMatchObject([{ id, secrets: [{}] }]);
  },
);
