import { z } from 'zod';
import { addRecipe } from '../../workflows/addRecipe.ts';
import { listRecipes, viewRecipe } from '../../workflows/recipes/index.ts';
import { type Route, route } from '../route.ts';

const PATH = '/api/v1/recipes';
const tag = 'Workflows';

const recipe = z.object({
  id: z.string(),
  name: z.string(),
  description: z.string(),
  needs: z.object({
    provider: z.string().nullable().describe('Whose webhooks it needs; null: nobody’s'),
    events: z.record(z.string(), z.string()).describe('Type of event → the name that it triggers'),
    messages: z.array(z.string()).describe('Subjects of the messages that it makes'),
    lists: z.array(z.string()),
  }),
});
const added = z.object({
  recipeId: z.string(),
  workflowId: z.string(),
  name: z.string(),
  state: z.literal('draft'),
  emailMessageIds: z.record(z.string(), z.string()),
  endpointId: z.string().nullable(),
  next: z.array(z.string()).describe('What to do before it works'),
});

const exampleIds = { workflowId: 'wf_0mwt0c8w0000aa1b2c3d4e5f', hello: 'em_0mwt0c8w00004a1b2c3d4e5f' };

export const recipeRoutes: Route[] = [
  route('GET', PATH, {
    summary: 'Recipes: workflows that can be made at once, with their messages',
    tag,
    response: z.array(recipe),
    answer: [
      {
        ...{ id: 'receipt', name: 'Receipt', description: 'Thanks for each paid Stripe invoice.' },
        needs: {
          ...{ provider: 'stripe', events: { 'invoice.paid': 'invoice_paid' } },
          ...{ messages: ['Thank you for your payment'], lists: [] },
        },
      },
    ],
    handle: async () => listRecipes().map(viewRecipe),
  }),
  route('POST', `${PATH}/:id`, {
    summary: 'Make the messages and the workflow of a recipe, as a draft',
    description:
      'With `endpointId` the triggers that it needs are switched on there; one that is set already keeps its name. A workflow of that name that exists already is a 409: nothing is made twice.',
    tag,
    status: 201,
    audit: { action: 'recipe.add', detail: (_, { name, endpointId }) => ({ name, endpointId }) },
    errors: [404, 409],
    body: z.strictObject({
      name: z.string().trim().min(1).max(255).optional().describe('Of the workflow'),
      endpointId: z.string().max(64).optional(),
    }),
    example: { name: 'Hello' },
    response: added,
    answer: {
      ...{ recipeId: 'welcome', workflowId: exampleIds.workflowId, name: 'Hello', state: 'draft' },
      ...{ emailMessageIds: { hello: exampleIds.hello }, endpointId: null },
      next: ['Read its email messages and put them in your words.'],
    },
    handle: async ({ ctx, params, body }) => {
      const deps = { sealer: ctx.sealer, now: ctx.now(), publicUrl: ctx.config.publicUrl };
      const made = await ctx.store.write(tx => addRecipe(tx, deps, params.id, body));
      ctx.live.invalidate();
      ctx.wake();
      return made;
    },
  }),
];
