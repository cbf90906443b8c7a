import { render } from 'preact';
import { useEffect } from 'preact/hooks';
import { ContactDetail } from './contacts/detail.tsx';
import { ContactList } from './contacts/list.tsx';
import { DeliveryDetailScreen } from './deliveries/detail.tsx';
import { DeliveryList } from './deliveries/list.tsx';
import { AddEndpoint } from './endpoints/add.tsx';
import { EndpointDetail } from './endpoints/detail.tsx';
import { EndpointList } from './endpoints/list.tsx';
import { linkTo, place } from './router.ts';
import { loadSelf, self, trouble } from './session.ts';
import { Shell } from './shell/shell.tsx';
import { SignIn } from './signIn/signIn.tsx';
import { Failure, Screen } from './ui.tsx';
import './style.css';

function Screens() {
  const [screen = 'endpoints', id] = place.value.path;
  if (screen === 'endpoints' && id === 'add') return <AddEndpoint />;
  if (screen === 'endpoints') return id ? <EndpointDetail key={id} id={id} /> : <EndpointList />;
  if (screen === 'deliveries') return id ? <DeliveryDetailScreen key={id} id={id} /> : <DeliveryList />;
  if (screen === 'contacts') return id ? <ContactDetail key={id} id={id} /> : <ContactList />;
  return (
    <Screen title="No such page">
      <p>
        There is nothing at this address. <a href={linkTo(['endpoints'])}>Go to the endpoints</a>.
      </p>
    </Screen>
  );
}

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
      <Screens />
    </Shell>
  );
}

const root = document.getElementById('app');
if (root) {
  root.replaceChildren();
  render(<App />, root);
}
