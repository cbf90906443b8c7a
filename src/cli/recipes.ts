import { addRecipe } from '../workflows/addRecipe.ts';
import { listRecipes, viewRecipe } from '../workflows/recipes/index.ts';
import type { Invocation } from './command.ts';
import { writeNoted } from './noteChange.ts';
import { openSealer, readInvocationConfig, useStore } from './open.ts';
import { formatJson, formatTable, stripControls } from './print.ts';

export async function list(i: Invocation): Promise<number> {
  const shown = listRecipes().map(viewRecipe);
  if (i.switches.has('json')) {
    i.io.out(formatJson(shown));
    return 0;
  }
  const needs = (each: (typeof shown)[number]) => [each.needs.provider, ...Object.keys(each.needs.events)];
  i.io.out(
    formatTable(
      ['ID', 'NAME', 'NEEDS'],
      shown.map(each => [each.id, each.name, needs(each).filter(Boolean).join(' ')]),
    ),
  );
  i.io.out(['', ...shown.map(each => `${each.id}: ${each.description}`)].join('\n'));
  return 0;
}

export async function add(i: Invocation): Promise<number> {
  const [id = ''] = i.args;
  const { name, endpoint: endpointId } = i.options;
  const config = readInvocationConfig(i);
  const made = await useStore(config, async store => {
    const deps = { sealer: await openSealer(config, store), now: Date.now(), publicUrl: config.publicUrl };
    return writeNoted(store, { action: 'recipe.add', target: id }, tx => addRecipe(tx, deps, id, { name, endpointId }));
  });
  if (i.switches.has('json')) {
    i.io.out(formatJson(made));
    return 0;
  }
  i.io.out(
    `Made the workflow ${made.workflowId} "${stripControls(made.name)}", a draft, with ${Object.keys(made.emailMessageIds).length} email messages: ${Object.values(made.emailMessageIds).join(', ')}.`,
  );
  if (made.endpointId !== null) i.io.out(`The triggers that it needs are on at ${made.endpointId}.`);
  i.io.out(['', 'Next:', ...made.next.map((step, n) => `  ${n + 1}. ${stripControls(step)}`)].join('\n'));
  return 0;
}
