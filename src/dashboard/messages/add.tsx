import { useState } from 'preact/hooks';
import { callApi } from '../api.ts';
import { linkTo, replacePlace } from '../router.ts';
import { Failure, Screen, TextField, useAction } from '../ui.tsx';

const FIRST =
  '<p>Hello {{ contact.firstName }},</p>\n\n<p>…</p>\n\n<p><a href="{{ unsubscribeUrl }}">Unsubscribe</a></p>\n';

export function AddMessage() {
  const [subject, setSubject] = useState('');
  const { busy, error, run } = useAction();
  const make = async () => {
    const { id } = await callApi<{ id: string }>('POST', '/email-messages', { subject, html: FIRST });
    replacePlace(linkTo(['messages', id]));
  };
  return (
    <Screen title="Write a message">
      <form
        class="row"
        onSubmit={event => {
          event.preventDefault();
          void run(make);
        }}
      >
        <TextField label="Subject" value={subject} onInput={setSubject} required placeholder="Welcome to Acme" />
        <button type="submit" class="main" disabled={busy}>
          Begin
        </button>
      </form>
      <Failure message={error} />
    </Screen>
  );
}
