import { useState } from 'preact/hooks';
import { callApi, type Endpoint } from '../api.ts';
import { mayWrite } from '../session.ts';
import { Failure, SelectField, TextField, Time, useAction } from '../ui.tsx';

/** The signing secrets; a new one stands beside the old ones, so that a provider can change over without a gap. */
export function Secrets({ endpoint, show }: { endpoint: Endpoint; show(changed: Endpoint): void }) {
  const { busy, error, run } = useAction();
  const remove = (secretId: string) => async () =>
    show(await callApi<Endpoint>('DELETE', `/endpoints/${endpoint.id}/secrets/${secretId}`));
  return (
    <section aria-labelledby="secrets">
      <h2 id="secrets">Signing secret</h2>
      {endpoint.secrets.length > 0 && (
        <table>
          <thead>
            <tr>
              <th scope="col">Secret</th>
              <th scope="col">Added</th>
              <th scope="col">Last used</th>
              <th scope="col">Ends</th>
              {mayWrite.value && <th scope="col">Change</th>}
            </tr>
          </thead>
          <tbody>
            {endpoint.secrets.map(each => (
              <tr key={each.id}>
                <td>
                  <code>{each.hint}</code>
                </td>
                <td>
                  <Time at={each.createdAt} />
                </td>
                <td>
                  <Time at={each.lastUsedAt} />
                </td>
                <td>{each.expiresAt ? <Time at={each.expiresAt} /> : 'never'}</td>
                {mayWrite.value && (
                  <td>
                    <button type="button" disabled={busy} onClick={() => void run(remove(each.id))}>
                      Remove {each.hint}
                    </button>
                  </td>
                )}
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <Failure message={error} />
      {mayWrite.value && <AddSecret endpoint={endpoint} show={show} />}
    </section>
  );
}

function AddSecret({ endpoint, show }: { endpoint: Endpoint; show(changed: Endpoint): void }) {
  const [secret, setSecret] = useState('');
  const [hours, setHours] = useState('');
  const { busy, error, run } = useAction();
  const add = async () => {
    const body = { secret, ...(hours && { expireOthersInHours: Number(hours) }) };
    show(await callApi<Endpoint>('POST', `/endpoints/${endpoint.id}/secrets`, body));
    setSecret('');
  };
  return (
    <form
      class="narrow"
      onSubmit={event => {
        event.preventDefault();
        void run(add);
      }}
    >
      <TextField
        label={endpoint.secrets.length ? 'Another secret' : 'Secret'}
        type="password"
        value={secret}
        onInput={setSecret}
        required
        hint="As the provider shows it. Inlet seals it and never shows it again."
      />
      {endpoint.secrets.length > 0 && (
        <SelectField
          label="The secrets there are"
          value={hours}
          onChange={setHours}
          options={[
            ['', 'stay valid'],
            ['24', 'end in a day'],
            ['1', 'end in an hour'],
            ['0', 'end now'],
          ]}
        />
      )}
      <Failure message={error} />
      <button type="submit" class="main" disabled={busy}>
        Save the secret
      </button>
    </form>
  );
}
