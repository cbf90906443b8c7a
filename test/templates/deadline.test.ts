import { afterAll, describe, expect, test } from 'bun:test';
import { Overdue, Templates } from '../../src/templates/templates.ts';

const templates = new Templates();
afterAll(() => templates.stop());

const PARTS = { subject: 's', previewText: '', fromName: '', html: '<p>{{ contact.name }}</p>', text: '' };
const VALUES = { contact: { name: 'Ada' }, event: {}, data: {}, unsubscribeUrl: '', preferencesUrl: '' };
const MB = 1e6;
const MAX_MEMORY = 250 * MB;
const MAX_STANDSTILL_MS = 250; // the promise is 50; this machine may have a lot to do
const MAX_TASK_MS = 3000; // 250 on a machine with nothing else to do, and a new thread

const nest = (depth: number) => `{{ ${'contact['.repeat(depth)}contact.a${']'.repeat(depth)} }}`;
const repeat = (times: number, body: string) => `{% for i in (1..${times}) %}${body}{% endfor %}`;

/** Templates that stopped the server for seconds, took gigabytes, or both. */
const BOMBS: Record<string, Partial<typeof PARTS>> = {
  'captures that double': {
    text: `{% assign s='x' %}${repeat(30, '{% capture s %}{{s}}{{s}}{% endcapture %}')}{% if s contains 'y' %}{% endif %}`,
  },
  'brackets 5,000 deep': { html: nest(5000) },
  'brackets 3,000 deep': { html: nest(3000) },
  'parentheses without end': { html: `{{ ${'('.repeat(45_000)} }}` },
  'bodies that never close': { html: repeat(59_000, '<body'), previewText: 'p' },
  'raw braces': { html: `{% raw %}${'{{'.repeat(49_000)}{% endraw %}` },
  'one tag with 7,000 lines': {
    html: `{% liquid ${Array.from({ length: 7000 }, (_, i) => `\nassign a${i} = 1`).join('')}\n%}`,
  },
  group_by_exp: { html: `{% assign a = (1..900000) | group_by_exp: 'i','i' %}` },
  where_exp: { html: `{% assign a = (1..990000) | where_exp: 'i','i' %}` },
  where: { html: `{% assign a = (1..990000) | where: 'i','i' %}` },
  'sorting a range': { html: '{% assign a = (1..990000) | sort_natural %}' },
  'stray end tags': { html: repeat(50_000, '<b>') + repeat(36_000, '</x>') },
  'stray end tags, written out': { html: '<b>'.repeat(12_000) + '</x>'.repeat(12_000) },
  'tables in tables': { html: '<table><tr><td>'.repeat(6000) },
  'loops in loops': { html: repeat(9, repeat(9, repeat(9, repeat(9, repeat(9, repeat(9, 'x')))))) },
  'a name without end': { html: `<${'a'.repeat(99_000)}` },
};

/** Does something and says how long this thread stood still meanwhile, and how much more memory the process had. */
async function observe<T>(work: () => Promise<T>) {
  let [last, standstill, peak] = [performance.now(), 0, 0];
  const before = process.memoryUsage.rss();
  const timer = setInterval(() => {
    const now = performance.now();
    standstill = Math.max(standstill, now - last);
    peak = Math.max(peak, process.memoryUsage.rss());
    last = now;
  }, 2);
  const begun = performance.now();
  const result = await work();
  const tookMs = performance.now() - begun;
  await Bun.sleep(5);
  clearInterval(timer);
  return { result, tookMs, standstill, memory: peak - before };
}

describe('no template stops the server or takes its memory', () => {
  test.each(Object.keys(BOMBS))('%s', async name => {
    await templates.render('first', PARTS, VALUES);
    const parts = { ...PARTS, ...BOMBS[name] };
    for (const work of [
      () => templates.findVariables(parts, true),
      () => templates.render(name, parts, VALUES),
      () => templates.render(name, parts, VALUES),
    ]) {
      const seen = await observe(() => work().catch(error => error));
      expect(seen.tookMs).toBeLessThan(MAX_TASK_MS);
      expect(seen.standstill).toBeLessThan(MAX_STANDSTILL_MS);
      expect(seen.memory).toBeLessThan(MAX_MEMORY);
    }
  });
});

const SLOW = { ...PARTS, ...BOMBS.where_exp };

test('one that is too slow says so, and what waits behind it is done', async () => {
  const slow = templates.render('slow', SLOW, VALUES).catch(error => error);
  const others = Array.from({ length: 40 }, () => templates.render('fast', PARTS, VALUES));
  expect(await slow).toBeInstanceOf(Overdue);
  expect((await slow).message).toContain('250 ms');
  expect((await Promise.all(others)).map(each => each.html)).toEqual(Array(40).fill('<p>Ada</p>'));
});

test('one that was too slow three times is not tried for a while, and holds up nobody', async () => {
  const many = Array.from({ length: 30 }, () => templates.render('again', SLOW, VALUES).catch(error => error));
  const begun = performance.now();
  const fast = templates.render('fast', PARTS, VALUES);
  const errors = await Promise.all(many);
  expect(errors.filter(each => each instanceof Overdue)).toHaveLength(30);
  expect(errors.filter(each => each.wasTried)).toHaveLength(3);
  expect((await fast).html).toBe('<p>Ada</p>');
  expect(performance.now() - begun).toBeLessThan(3 * MAX_TASK_MS);
});

test('many short ones are quick', async () => {
  const parts = { ...PARTS, html: PARTS.html.repeat(50) };
  await templates.render('warm', parts, VALUES);
  const begun = performance.now();
  await Promise.all(Array.from({ length: 400 }, () => templates.render('warm', parts, VALUES)));
  expect(performance.now() - begun).toBeLessThan(4000); // 6,000 a minute, on a machine that has other things to do
});

test('a stop in the middle refuses what is under way; the next call begins anew', async () => {
  const own = new Templates();
  const slow = own.render('slow', SLOW, VALUES).catch(error => error);
  const waiting = own.render('fast', PARTS, VALUES).catch(error => error);
  await own.stop();
  expect([(await slow).code, (await waiting).code]).toEqual(['unavailable', 'unavailable']);
  expect((await own.render('fast', PARTS, VALUES)).html).toBe('<p>Ada</p>');
  await own.stop();
  await own.stop();
});
