import { render } from 'preact';
import { useEffect } from 'preact/hooks';
import { place } from './router.ts';
import { CurrentScreen } from './screens.tsx';
import { loadSelf, self, trouble } from './session.ts';
import { Shell } from './shell/shell.tsx';
import { SignIn } from './signIn/signIn.tsx';
import { Failure } from './ui.tsx';
import './style.css';
import './workflows.css';
import './messages.css';
import './explain.css';
import './overview.css';

function App() {
  const isLink = place.value.path[0] === 'login';
  useEffect(() => {
    if (!isLink) void loadSelf();
    else self.value = null; // the link says who signs in
  }, []);
  if (trouble.value !== null && !isLink)
    return (
      <main class="alone">
        <h1>Inlet</h1>
        <Failure message={trouble.value} retry={() => void loadSelf()} />
      </main>
    );
  if (isLink || self.value === null) return <SignIn />;
  if (self.value === undefined)
    return (
      <p class="loading" role="status">
        Loading…
      </p>
    );
  return (
    <Shell>
      <CurrentScreen />
    </Shell>
  );
}

const root = document.getElementById('app');
if (root) {
  root.replaceChildren();
  render(<App />, root);
}
