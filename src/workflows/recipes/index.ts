import { z } from 'zod';
import { expectedEvent } from '../expected.ts';
import dunning from './dunning.json' with { type: 'json' };
import receipt from './receipt.json' with { type: 'json' };
import trialEnding from './trialEnding.json' with { type: 'json' };
import welcome from './welcome.json' with { type: 'json' };

const recipe = z.strictObject({
  id: z.string().regex(/^[a-z][a-z-]*$/),
  name: z.string(),
  description: z.string(),
  /** Whose webhooks it needs; null: anybody's. */
  provider: z.string().nullable(),
  /** Type of event → what it must trigger. */
  events: z.record(
    z.string(),
    z.strictObject({ triggerEvent: z.string(), eventProperties: z.record(z.string(), z.string()) }),
  ),
  /** By the name that the nodes use as `emailMessageId`. */
  messages: z.record(z.string(), z.strictObject({ subject: z.string(), html: z.string() })),
  exitOn: z.array(expectedEvent),
  rootNodeId: z.string(),
  nodes: z.record(z.string(), z.record(z.string(), z.unknown())),
});
export type Recipe = z.output<typeof recipe>;

/** Every recipe. A new one is a file of JSON and a line here. */
const RECIPES: readonly Recipe[] = [welcome, trialEnding, dunning, receipt].map(each => recipe.parse(each));

export const listRecipes = (): readonly Recipe[] => RECIPES;

export const findRecipe = (id: string): Recipe | undefined => RECIPES.find(each => each.id === id);

/** What a recipe is and needs, for API and command line. */
export function viewRecipe({ id, name, description, provider, events, messages }: Recipe) {
  return {
    ...{ id, name, description },
    needs: {
      provider,
      events: Object.fromEntries(Object.entries(events).map(([type, { triggerEvent }]) => [type, triggerEvent])),
      messages: Object.values(messages).map(each => each.subject),
      lists: [] as string[],
    },
  };
}
