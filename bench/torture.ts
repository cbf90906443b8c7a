// `bun run torture --kills N`: the crash test for as long as you like.
import { parseArgs } from 'node:util';
import { crash } from '../test/support/crash.ts';

const { values } = parseArgs({ options: { kills: { type: 'string', default: '1000' }, seed: { type: 'string' } } });
const seed = Number(values.seed ?? Math.trunc(Math.random() * 2 ** 31));
const kills = Number(values.kills);
console.error(`torture: ${kills} kills, seed ${seed}`);
const report = await crash(kills, seed, n => {
  if (n % 10 === 0) console.error(`  ${n} of ${kills}`);
});
console.log(`${report.kills} kills, ${report.acknowledged} acknowledged, ${report.wrong.length} wrong`);
for (const line of report.wrong.slice(0, 50)) console.log(`  ${line}`);
process.exit(report.wrong.length ? 1 : 0);
