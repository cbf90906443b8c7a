import { eq } from 'drizzle-orm';
import { workflows } from '../db/schema.ts';
import { takeTurn } from '../db/sql.ts';
import type { Tx } from '../db/store.ts';
import { AppError, invalid } from '../errors.ts';
import { type Deps, type EndpointRow, getEndpoint, patchEndpoint, requireProvider } from '../inbound/endpoints.ts';
import { resolveEvents } from '../inbound/eventSettings.ts';
import { createMessage, EMPTY_CONTENT } from '../mail/messages.ts';
import { suggestWord } from '../nearest.ts';
import { parseName } from '../plainName.ts';
import { findRecipe, listRecipes, type Recipe } from './recipes/index.ts';
import { createWorkflow, putGraph } from './workflows.ts';

interface Wish {
  /** Of the workflow; the recipe's own name if not said. */
  name?: string | undefined;
  /** Where to switch on the triggers that it needs. */
  endpointId?: string | undefined;
}

/** What a recipe made: a draft, and what is left to do. */
interface Added {
  recipeId: string;
  workflowId: string;
  name: string;
  state: 'draft';
  /** By the recipe's own names for them. */
  emailMessageIds: Record<string, string>;
  endpointId: string | null;
  /** Sentences: what to do before it works. */
  next: string[];
}

function requireRecipe(id: string): Recipe {
  const found = findRecipe(id);
  if (found) return found;
  const ids = listRecipes().map(each => each.id);
  throw new AppError(
    'notFound',
    `There is no recipe ${id.slice(0, 60)}; there are ${ids.join(', ')}.${suggestWord(id, ids)}`,
  );
}

/** The name must be free: whoever asks twice shall not be mailed twice. @throws AppError conflict */
async function requireFreeName(tx: Tx, name: string): Promise<void> {
  await takeTurn(tx, `workflow name ${name}`);
  const [had] = await tx
    .select({ id: workflows.id, state: workflows.state })
    .from(workflows)
    .where(eq(workflows.name, name))
    .limit(1);
  if (!had) return;
  throw new AppError(
    'conflict',
    `The workflow ${had.id} (${had.state}) is called "${name}" already, nothing was made. Use that one, or give another name.`,
  );
}

/** What the endpoint's settings must say for a recipe. A trigger that is set already keeps its name. @throws AppError invalid, conflict */
function planEvents(recipe: Recipe, endpoint: EndpointRow) {
  if (recipe.provider !== endpoint.provider)
    throw invalid(
      recipe.provider === null
        ? `endpointId: the recipe ${recipe.id} needs no endpoint; leave it out.`
        : `endpointId: the recipe ${recipe.id} needs an endpoint for ${recipe.provider}; ${endpoint.id} is one for ${endpoint.provider}.`,
    );
  const now = resolveEvents(requireProvider(endpoint.provider), endpoint.events);
  const names = new Map<string, string>();
  const patch: Record<string, Record<string, unknown>> = {};
  for (const [type, { triggerEvent, eventProperties: wanted }] of Object.entries(recipe.events)) {
    const had = now[type]?.eventProperties ?? {};
    const other = Object.keys(wanted).find(key => Object.hasOwn(had, key) && had[key] !== wanted[key]);
    if (other !== undefined)
      throw new AppError(
        'conflict',
        `events.${type}.eventProperties.${other} of ${endpoint.id} is ${had[other]}; the recipe ${recipe.id} needs ${wanted[other]} there. Rename yours, or leave endpointId out and set the triggers yourself.`,
      );
    const set = now[type]?.triggerEvent ?? triggerEvent;
    names.set(triggerEvent, set);
    patch[type] = { enabled: true, triggerEvent: set, eventProperties: { ...had, ...wanted } };
  }
  return { names, patch };
}

async function createMessages(tx: Tx, recipe: Recipe, now: number): Promise<Record<string, string>> {
  const ids: Record<string, string> = {};
  for (const [name, said] of Object.entries(recipe.messages)) {
    const content = { ...EMPTY_CONTENT, ...said };
    ids[name] = (await createMessage(tx, { content, variables: null }, now)).id;
  }
  return ids;
}

/** The recipe's nodes with the messages there are now and the names that events have at the endpoint. */
function fillNodes({ nodes }: Recipe, messages: Record<string, string>, names: Map<string, string>): Recipe['nodes'] {
  const filled = Object.entries(nodes).map(([id, node]) => {
    const { emailMessageId, eventName } = node as { emailMessageId?: string; eventName?: string };
    return [
      id,
      {
        ...node,
        ...(emailMessageId !== undefined && { emailMessageId: messages[emailMessageId] }),
        ...(eventName !== undefined && { eventName: names.get(eventName) ?? eventName }),
      },
    ];
  });
  return Object.fromEntries(filled);
}

function listNext({ provider, events }: Recipe, workflowId: string, endpointId: string | null): string[] {
  const triggers = Object.entries(events).map(([type, { triggerEvent }]) => `${type} → ${triggerEvent}`);
  const isOpen = provider !== null && endpointId === null;
  return [
    ...(isOpen
      ? [`Set the triggers ${triggers.join(', ')} with their event properties on an endpoint for ${provider}.`]
      : []),
    'Read its email messages and put them in your words.',
    `Try it: POST /api/v1/workflows/${workflowId}/dry-run. Then POST /api/v1/workflows/${workflowId}/start.`,
  ];
}

/** Makes the messages and the workflow of a recipe, as a draft. @throws AppError notFound, invalid, conflict */
export async function addRecipe(tx: Tx, deps: Deps, id: string, { name, endpointId }: Wish): Promise<Added> {
  const recipe = requireRecipe(id);
  const called = parseName(name ?? '') || recipe.name;
  await requireFreeName(tx, called);
  const endpoint = endpointId === undefined ? null : await getEndpoint(tx, endpointId);
  const { names, patch } = endpoint ? planEvents(recipe, endpoint) : { names: new Map<string, string>(), patch: null };
  if (endpoint && patch) await patchEndpoint(tx, deps, endpoint.id, { events: patch });
  const emailMessageIds = await createMessages(tx, recipe, deps.now);
  const exitOn = recipe.exitOn.map(each => ({ ...each, eventName: names.get(each.eventName) ?? each.eventName }));
  const { id: workflowId } = await createWorkflow(
    tx,
    { name: called, description: recipe.description, exitOn },
    deps.now,
  );
  const nodes = fillNodes(recipe, emailMessageIds, names);
  await putGraph(tx, workflowId, { rootNodeId: recipe.rootNodeId, nodes, queuedContactPolicy: 'fail' }, deps.now);
  const made = { recipeId: recipe.id, workflowId, name: called, state: 'draft' as const };
  return {
    ...made,
    emailMessageIds,
    endpointId: endpoint?.id ?? null,
    next: listNext(recipe, workflowId, endpointId ?? null),
  };
}
