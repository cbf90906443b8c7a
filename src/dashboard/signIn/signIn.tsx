import { useEffect, useRef, useState } from 'preact/hooks';
import { linkTo, place, replacePlace } from '../router.ts';
import { signIn } from '../session.ts';
import { Failure, TextField, useAction } from '../ui.tsx';

/** By a key that is pasted, or by the link that `inlet login` prints. */
export function SignIn() {
  const [key, setKey] = useState('');
  const { busy, error, run } = useAction();
  const used = useRef(false);
  const [screen, token] = place.value.path;
  const isLink = screen === 'login';
  useEffect(() => {
    document.title = 'Sign in · Inlet';
  }, []);
  useEffect(() => {
    if (!isLink || used.current) return;
    used.current = true; // it works once
    replacePlace(linkTo([]));
    if (token) void run(() => signIn({ token }));
  }, [isLink, token]);
  return (
    <main class="alone">
      <h1>Inlet</h1>
      <Failure message={error} />
      {busy && (
        <p class="loading" role="status">
          Signing in…
        </p>
      )}
      <form
        onSubmit={event => {
          event.preventDefault();
          void run(() => signIn({ key }));
        }}
      >
        <TextField
          label="API key"
          type="password"
          value={key}
          onInput={setKey}
          required
          hint="The first start printed one; inlet keys create NAME makes another. It stays with the server: this browser keeps a session only, for 30 days after you last looked in."
        />
        <button type="submit" class="main" disabled={busy}>
          Sign in
        </button>
      </form>
      <p class="hint">
        No key at hand? On the server <code>inlet login</code> prints a link that signs in once.
      </p>
    </main>
  );
}
