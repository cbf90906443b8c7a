import { useState } from 'preact/hooks';
import { callApi } from '../api.ts';
import { linkTo } from '../router.ts';
import { Failure, TextField, useAction } from '../ui.tsx';

/** A test mail of what is saved. */
export function SendTest({ id, isChanged }: { id: string; isChanged: boolean }) {
  const [email, setEmail] = useState('');
  const [mailId, setMailId] = useState<string | null>(null);
  const { busy, error, run } = useAction();
  const send = async () => {
    setMailId((await callApi<{ id: string }>('POST', `/email-messages/${id}/preview`, { emails: [email.trim()] })).id);
  };
  return (
    <section aria-labelledby="test">
      <h2 id="test">Send a test</h2>
      <form
        class="row"
        onSubmit={event => {
          event.preventDefault();
          void run(send);
        }}
      >
        <TextField label="To" value={email} onInput={setEmail} required placeholder="you@example.com" />
        <button type="submit" disabled={busy || isChanged}>
          Send it
        </button>
      </form>
      {isChanged && <p class="hint">Save first: a test is sent of what is saved.</p>}
      <Failure message={error} />
      {mailId && (
        <p role="status">
          It is on its way: <a href={linkTo(['mails', mailId])}>see what the mail server says</a>.
        </p>
      )}
    </section>
  );
}
