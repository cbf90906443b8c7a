import { useState } from 'preact/hooks';
import { ApiError, callApi } from '../api.ts';
import { linkTo, visit } from '../router.ts';
import { Failure, Screen, Show, TextField, useAction, useLoaded } from '../ui.tsx';

interface Recipe {
  id: string;
  name: string;
  description: string;
}

/** A server without recipes offers none. */
async function loadRecipes(): Promise<Recipe[]> {
  try {
    const answer = await callApi<Recipe[] | { data: Recipe[] }>('GET', '/recipes');
    return Array.isArray(answer) ? answer : answer.data;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return [];
    throw error;
  }
}

/** A new workflow: an empty one, or a recipe to change. */
export function AddWorkflow() {
  const [name, setName] = useState('');
  const { busy, error, run } = useAction();
  const recipes = useLoaded('recipes', loadRecipes);
  const make = async () => {
    const { id } = await callApi<{ id: string }>('POST', '/workflows', { name });
    visit(linkTo(['workflows', id]));
  };
  const cook = async (recipe: Recipe) => {
    const made = await callApi<{ id?: string; workflowId?: string; workflow?: { id: string } }>(
      'POST',
      `/recipes/${recipe.id}`,
      {},
    );
    visit(linkTo(['workflows', made.workflow?.id ?? made.workflowId ?? made.id ?? '']));
  };
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
      <Show of={recipes}>
        {all =>
          all.length > 0 && (
            <section aria-labelledby="recipes">
              <h2 id="recipes">Or begin with a recipe</h2>
              <p class="hint">It is made as a draft with its messages, for you to look through, change and start.</p>
              <ul class="cards">
                {all.map(each => (
                  <li class="card" key={each.id}>
                    <h2>{each.name}</h2>
                    <p>{each.description}</p>
                    <button type="button" disabled={busy} onClick={() => void run(() => cook(each))}>
                      Use {each.name}
                    </button>
                  </li>
                ))}
              </ul>
            </section>
          )
        }
      </Show>
    </Screen>
  );
}
