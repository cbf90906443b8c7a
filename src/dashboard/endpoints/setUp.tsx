import { useState } from 'preact/hooks';
import { callApi, type Endpoint, type Provider } from '../api.ts';
import { mayWrite } from '../session.ts';
import { Copyable, Failure, SelectField, TextField, useAction } from '../ui.tsx';
import { madeSecrets } from './add.tsx';

/** What is left to do until the first webhook came: the URL beside the provider's own steps, then a test. */
export function SetUp(props: { endpoint: Endpoint; provider: Provider; reload(): Promise<void> }) {
  const { endpoint, provider, reload } = props;
  const made = madeSecrets.value[endpoint.id];
  return (
    <section aria-labelledby="setup">
      <h2 id="setup">Set it up at {provider.name}</h2>
      <div class="halves">
        <div>
          <Copyable label="URL for the provider" text={endpoint.url} />
          {made && (
            <>
              <Copyable label={`Secret for the header ${made.name}`} text={made.value} />
              <p class="note">This secret is shown only now: take it along before you leave this page.</p>
            </>
          )}
          {endpoint.state === 'waitingForFirst' && (
            <p class="loading" role="status">
              Waiting for the first webhook. This page notices by itself.
            </p>
          )}
        </div>
        <ol class="steps">
          {provider.setup.map(step => (
            <li key={step}>{step}</li>
          ))}
        </ol>
      </div>
      {mayWrite.value && endpoint.state !== 'needsSecret' && (
        <Test provider={provider} id={endpoint.id} reload={reload} />
      )}
    </section>
  );
}

interface Tested {
  status: number;
  body: { message: string };
}

function Test({ provider, id, reload }: { provider: Provider; id: string; reload(): Promise<void> }) {
  const [type, setType] = useState(provider.eventTypes[0]?.type ?? '');
  const [email, setEmail] = useState('test@example.com');
  const [answer, setAnswer] = useState<Tested | null>(null);
  const { busy, error, run } = useAction();
  const send = async () => {
    setAnswer(await callApi<Tested>('POST', `/endpoints/${id}/test`, { type, email }));
    await reload();
  };
  return (
    <form
      class="row"
      onSubmit={event => {
        event.preventDefault();
        void run(send);
      }}
    >
      <SelectField
        label="Test event"
        value={type}
        onChange={setType}
        options={provider.eventTypes.map(each => [each.type, each.type])}
      />
      <TextField label="Address in it" value={email} onInput={setEmail} required />
      <button type="submit" disabled={busy}>
        Send a test
      </button>
      <Failure message={error} />
      {answer && (
        <p role="status">
          Answered {answer.status}: {answer.body.message}
        </p>
      )}
    </form>
  );
}
