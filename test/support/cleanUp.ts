import { afterAll } from 'bun:test';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Postgres } from './postgres.ts';

// Loaded before all tests (bunfig.toml): everything they write lies in one folder, gone when they have run. `bun test`
// calls no exit handlers.
const scratch = mkdtempSync(join(tmpdir(), 'inlet-tests-'));
chmodSync(scratch, 0o755); // PostgreSQL runs as nobody
process.env.TMPDIR = scratch;

afterAll(async () => {
  await Postgres.removeAll();
  rmSync(scratch, { recursive: true, force: true });
});
