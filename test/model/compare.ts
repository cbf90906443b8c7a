/**
 * Compares the core in memory with the model over random histories:
 * `bun test/model/compare.ts [histories = 200] [first seed = 1] [knobs as JSON]`. Prints the smallest history of each difference.
 */
import { Core } from './core.ts';
import { generateHistory, shrink } from './histories.ts';
import { Model } from './model.ts';
import type { Answer, ModelContact, Step } from './steps.ts';

const [count = '200', first = '1', knobs = '{}', most = '5'] = process.argv.slice(2);
const TYPES = { plan: 'string', seats: 'number', tier: 'string' } as const;

function run(audience: Core | Model, steps: Step[]): { contacts: ModelContact[]; answers: Answer[] } {
  const answers = steps.map(step => audience.take(step));
  // The core gives a property one type; the model has none.
  const contacts = audience.contacts().map(each => ({
    ...each,
    properties: Object.fromEntries(Object.entries(each.properties).map(([key, value]) => [key, String(value)])),
  }));
  return { contacts, answers };
}

function differs(steps: Step[]): boolean {
  try {
    return JSON.stringify(run(new Core(TYPES), steps)) !== JSON.stringify(run(new Model(), steps));
  } catch {
    return true;
  }
}

function brief(step: Step): string {
  const at = (ms: number) => ((ms - 1_700_000_000_000) / 1000).toFixed(3);
  if (step.kind !== 'fact') {
    const { kind, arrivedAt, ...rest } = step;
    return `${at(arrivedAt)} ${kind} ${JSON.stringify(rest)}`;
  }
  const { fact: f, endpoint, settings: s } = step;
  const set = Object.fromEntries(
    Object.entries(s).filter(([, v]) => v !== null && JSON.stringify(v) !== '{}' && JSON.stringify(v) !== '[]'),
  );
  return `${at(step.arrivedAt)} ${endpoint.provider}${endpoint.namespace && `@${endpoint.namespace}`} ${endpoint.id} ${step.externalId} ${f.deletion ? 'DELETE' : f.authority} at=${at(f.at)}.${f.micros} r${f.rank}${f.sentAt ? ` s=${at(f.sentAt)}` : ''} ${f.personId} e=${f.email}${f.proven ? '!' : ''} u=${f.userId} n=${f.firstName}/${f.lastName} was=${JSON.stringify(f.former)} ${f.happenedAt ? `h=${at(f.happenedAt)}` : ''} ${JSON.stringify(set)}`;
}

let found = 0;
for (let seed = Number(first); seed < Number(first) + Number(count) && found < Number(most); seed++) {
  const steps = generateHistory(seed, JSON.parse(knobs));
  if (!differs(steps)) continue;
  found++;
  const small = await shrink(steps, differs);
  console.log(`\n=== seed ${seed}, ${small.length} of ${steps.length} steps`);
  for (const step of small) console.log('  ', brief(step));
  try {
    const [core, model] = [run(new Core(TYPES), small), run(new Model(), small)];
    console.log(
      '  core ',
      JSON.stringify(core.answers),
      '\n     ',
      core.contacts.map(c => JSON.stringify(c)).join('\n      '),
    );
    console.log(
      '  model',
      JSON.stringify(model.answers),
      '\n     ',
      model.contacts.map(c => JSON.stringify(c)).join('\n      '),
    );
  } catch (error) {
    console.log('  threw', error);
  }
}
console.log(`${found} differ`);
