import { signal } from '@preact/signals';
import { useState } from 'preact/hooks';
import { callApi, type Endpoint, type Provider } from '../api.ts';
import { linkTo, visit } from '../router.ts';
import { mayWrite } from '../session.ts';
import { Empty, Failure, Screen, Show, TextField, useAction, useLoaded } from '../ui.tsx';

/** Headers with a secret that Inlet made: the API shows it once, this page until it is left. By endpoint. */
export const madeSecrets = signal<Record<string, { name: string; value: string }>>({});

/** First the provider; the URL, the provider's own steps and the secret follow on the endpoint's screen. */
export function AddEndpoint() {
  const providers = useLoaded('providers', () => callApi<Provider[]>('GET', '/providers'));
  const [provider, setProvider] = useState('');
  const [name, setName] = useState('');
  const { busy, error, run } = useAction();
  const add = async () => {
    const body = { provider, ...(name.trim() && { name: name.trim() }) };
    const { id, secretHeader } = await callApi<Endpoint>('POST', '/endpoints', body);
    if (secretHeader) madeSecrets.value = { ...madeSecrets.value, [id]: secretHeader };
    visit(linkTo(['endpoints', id]));
  };
  if (!mayWrite.value)
    return (
      <Screen title="Add an endpoint">
        <Empty>You may only read. Sign in with a key that may do everything to add endpoints.</Empty>
      </Screen>
    );
  return (
    <Screen title="Add an endpoint">
      <Show of={providers}>
        {all => (
          <form
            class="narrow"
            onSubmit={event => {
              event.preventDefault();
              void run(add);
            }}
          >
            <fieldset>
              <legend>Who sends the webhooks?</legend>
              <div class="choices">
                {all.map(each => (
                  <label key={each.id} class="choice">
                    <input
                      type="radio"
                      name="provider"
                      value={each.id}
                      required
                      checked={provider === each.id}
                      onChange={() => setProvider(each.id)}
                    />
                    {each.name}
                  </label>
                ))}
              </div>
            </fieldset>
            <TextField
              label="Name"
              value={name}
              onInput={setName}
              placeholder="Production"
              hint="For you, to tell endpoints apart. It may stay empty."
            />
            <Failure message={error} />
            <button type="submit" class="main" disabled={busy}>
              Make the endpoint
            </button>
          </form>
        )}
      </Show>
    </Screen>
  );
}
