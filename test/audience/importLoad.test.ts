// databases: sqlite
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { readRows } from '../../src/audience/csv.ts';
import { TestApp } from '../support/app.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const BITE = 32 * KIB;

/** A file of `size` bytes that repeats `piece`, never in memory as a whole; how much was taken within one turn of the loop. */
function fileOf(piece: Buffer, size: number) {
  const block = Buffer.alloc(BITE + piece.length, piece);
  let inTurn = 0;
  let most = 0;
  const timer = setInterval(() => {}, 1000);
  const turn = () => {
    inTurn = 0;
    immediate = setImmediate(turn);
  };
  let immediate = setImmediate(turn);
  const from = (offset: number) => {
    let at = offset;
    return async () => {
      if (at >= size) return null;
      const start = at % piece.length;
      const bite = block.subarray(start, start + Math.min(BITE, size - at));
      at += bite.length;
      inTurn += bite.length;
      most = Math.max(most, inTurn);
      return bite;
    };
  };
  const stop = () => {
    clearInterval(timer);
    clearImmediate(immediate);
  };
  return { from, stop, most: () => most };
}

/** Reads a file in steps as an import does. */
async function readAll(file: ReturnType<typeof fileOf>) {
  const seen = {
    steps: 0,
    rows: 0,
    widest: 0,
    kept: 0,
    empties: 0,
    longest: 0,
    grown: 0,
    trouble: null as string | null,
  };
  Bun.gc(true);
  const before = process.memoryUsage.rss();
  for (let at = 0; ; ) {
    const began = { wall: performance.now(), cpu: process.cpuUsage() };
    const read = await readRows(file.from(at), ',', 200, 2);
    const { user, system } = process.cpuUsage(began.cpu);
    seen.longest = Math.max(seen.longest, Math.min(performance.now() - began.wall, (user + system) / 1000));
    await new Promise(resolve => setImmediate(resolve));
    seen.steps++;
    seen.rows += read.rows.length;
    for (const { width, cells } of read.rows) {
      seen.widest = Math.max(seen.widest, width);
      seen.kept = Math.max(seen.kept, cells.length);
    }
    seen.empties += read.empties;
    seen.trouble = read.trouble;
    seen.grown = Math.max(seen.grown, process.memoryUsage.rss() - before);
    at += read.end;
    if (read.ended || read.trouble !== null) return { ...seen, at };
  }
}

describe('a step of an import', () => {
  test('ends after 256 KiB of empty lines, which take neither the thread nor memory', async () => {
    const file = fileOf(Buffer.from('\r\n'), 255 * MIB);
    const seen = await readAll(file);
    file.stop();
    expect(seen).toMatchObject({ steps: 255 * 4 + 1, rows: 0, at: 255 * MIB, empties: (255 * MIB) / 2 });
    expect(file.most()).toBeLessThanOrEqual(256 * KIB);
    expect(seen.longest).toBeLessThan(200); // 1 ms on an idle machine
    expect(seen.grown).toBeLessThan(50 * MIB);
  });

  test('keeps two cells of a row of hundreds of thousands, and gives a turn every 32 KiB', async () => {
    const piece = Buffer.alloc(261_001, ',');
    piece[261_000] = 10;
    const file = fileOf(piece, 20 * piece.length);
    const seen = await readAll(file);
    file.stop();
    expect(seen).toMatchObject({ rows: 20, widest: 261_001, kept: 3, at: 20 * piece.length });
    expect(seen.steps).toBeGreaterThanOrEqual(20);
    expect(file.most()).toBeLessThanOrEqual(2 * BITE);
    expect(seen.grown).toBeLessThan(200 * MIB);
  });

  test('ends at a row without end, however empty its cells', async () => {
    const file = fileOf(Buffer.from(','), 64 * MIB);
    const seen = await readAll(file);
    file.stop();
    expect(seen.trouble).toContain('is longer than 256 KiB');
    expect(seen.steps).toBe(1);
  });
});

describe('an import', () => {
  let app: TestApp;
  beforeEach(async () => {
    app = await TestApp.open();
  });
  afterEach(() => app.stop());
  const imported = async (file: string) => {
    const { id } = (await app.upload('/contacts/import', file)).body;
    await app.drain();
    return (await app.api('GET', `/imports/${id}`)).body;
  };

  test('goes on after a row with far too many cells', async () => {
    const done = await imported(`email,a\nok@x.co,A\nwide@x.co${','.repeat(5000)}\nend@x.co,B\n`);
    expect(done).toMatchObject({ state: 'done', created: 2, failed: 1 });
    const report = String((await app.api('GET', `/imports/${done.id}/report`)).body);
    expect(report).toContain('3,,"has 5001 cells, the header 2.');
  });

  test('goes through megabytes of empty lines, counts them, and answers meanwhile', async () => {
    const made = app.upload('/contacts/import', `email\nok@x.co\n${'\n'.repeat(8 * MIB)}none\n`);
    const { id } = (await made).body;
    let answers = 0;
    let over = false;
    const asking = (async () => {
      while (!over) {
        await app.api('GET', `/imports/${id}`);
        answers++;
        await new Promise(resolve => setImmediate(resolve));
      }
    })();
    await app.drain();
    over = true;
    await asking;
    expect(answers).toBeGreaterThan(30);
    const done = (await app.api('GET', `/imports/${id}`)).body;
    expect(done).toMatchObject({ state: 'done', rows: 2, created: 1, failed: 1, bytesDone: done.bytes });
    expect(String((await app.api('GET', `/imports/${id}/report`)).body)).toContain(`\r\n${8 * MIB + 3},email,`);
  });
});
