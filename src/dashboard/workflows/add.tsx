import { useState } from 'preact/hooks';
import { ApiError, callApi, type Endpoint, type Page } from '../api.ts';
import { linkTo, visit } from '../router.ts';
import { Failure, Screen, SelectField, Show, TextField, useAction, useLoaded } from '../ui.tsx';

interface Recipe {
  id: string;
  name: string;
  description: string;
  needs: { provider: string | null; events: Record<string, string>; messages: string[] };
}
interface Made {
  workflowId: string;
  name: string;
  next: string[];
}

async function loadWhole() {
  const [recipes, endpoints] = await Promise.all([
    callApi<Recipe[]>('GET', '/recipes').catch(error => {
      if (error instanceof ApiError && error.status === 404) return []; // a server without recipes
      throw error;
    }),
    callApi<Page<Endpoint>>('GET', '/endpoints?perPage=100'),
  ]);
  return { recipes, endpoints: endpoints.data };
}

/** A new workflow: an empty one, or a recipe to change. */
export function AddWorkflow() {
  const [name, setName] = useState('');
  const [made, setMade] = useState<Made | null>(null);
  const { busy, error, run } = useAction();
  const whole = useLoaded('recipes', loadWhole);
  const make = async () => {
    const { id } = await callApi<{ id: string }>('POST', '/workflows', { name });
    visit(linkTo(['workflows', id]));
  };
  if (made) return <WhatNext made={made} />;
  return (
    <Screen title="Make a workflow">
      <form
        class="row"
        onSubmit={event => {
          event.preventDefault();
          void run(make);
        }}
      >
        <TextField label="Name" value={name} onInput={setName} required placeholder="Thanks for paying" />
        <button type="submit" class="main" disabled={busy}>
          Make an empty one
        </button>
      </form>
      <Failure message={error} />
      <Show of={whole}>
        {({ recipes, endpoints }) =>
          recipes.length > 0 && (
            <section aria-labelledby="recipes">
              <h2 id="recipes">Or begin with a recipe</h2>
              <p class="hint">It is made as a draft with its messages, for you to look through, change and start.</p>
              <ul class="cards">
                {recipes.map(each => (
                  <Card key={each.id} recipe={each} endpoints={endpoints} show={setMade} />
                ))}
              </ul>
            </section>
          )
        }
      </Show>
    </Screen>
  );
}

function Card(props: { recipe: Recipe; endpoints: Endpoint[]; show(made: Made): void }) {
  const { recipe, endpoints, show } = props;
  const { provider, events, messages } = recipe.needs;
  const fitting = endpoints.filter(each => each.provider === provider);
  const [endpointId, setEndpointId] = useState(fitting[0]?.id ?? '');
  const { busy, error, run } = useAction();
  const make = async () => {
    show(await callApi<Made>('POST', `/recipes/${recipe.id}`, { ...(endpointId && { endpointId }) }));
  };
  return (
    <li class="card">
      <h2>{recipe.name}</h2>
      <p>{recipe.description}</p>
      <p class="faint">
        {messages.length} messages{Object.keys(events).length > 0 && ` · starts by ${Object.keys(events).join(', ')}`}
      </p>
      {provider !== null && fitting.length === 0 && (
        <p class="note">
          It needs webhooks of {provider}: <a href={linkTo(['endpoints', 'add'])}>add an endpoint</a> first, or make it
          now and connect it later.
        </p>
      )}
      {fitting.length > 0 && (
        <SelectField
          label="Its events come from"
          value={endpointId}
          options={[
            ...fitting.map((each): [string, string] => [each.id, each.name || each.provider]),
            ['', 'I connect it later'],
          ]}
          onChange={setEndpointId}
        />
      )}
      <Failure message={error} />
      <button type="button" disabled={busy} onClick={() => void run(make)}>
        Use “{recipe.name}”
      </button>
    </li>
  );
}

function WhatNext({ made: { workflowId, name, next } }: { made: Made }) {
  return (
    <Screen title={`${name} is made`}>
      <p class="step">It is a draft: nobody is mailed before you start it.</p>
      <ol class="steps">
        {next.map(each => (
          <li key={each}>{each}</li>
        ))}
      </ol>
      <a class="button main" href={linkTo(['workflows', workflowId])}>
        Look at the workflow
      </a>
    </Screen>
  );
}
