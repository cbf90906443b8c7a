import type { ComponentType } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { linkTo, place } from './router.ts';
import { Screen } from './ui.tsx';

interface ScreenModule {
  Route: ComponentType<{ path: string[] }>;
}

/** Screens by the first part of their address; the script of each comes when it is asked for. */
const SCREENS: Record<string, () => Promise<ScreenModule>> = {
  overview: () => import('./overview/index.tsx'),
  endpoints: () => import('./endpoints/index.tsx'),
  deliveries: () => import('./deliveries/index.tsx'),
  contacts: () => import('./contacts/index.tsx'),
  mails: () => import('./mails/index.tsx'),
  suppressions: () => import('./mails/index.tsx'),
  messages: () => import('./messages/index.tsx'),
  transactional: () => import('./messages/index.tsx'),
  workflows: () => import('./workflows/index.tsx'),
  runs: () => import('./workflows/index.tsx'),
  settings: () => import('./settings/index.tsx'),
};
const START = 'overview';

const loaded = new Map<string, ScreenModule>();

/** The screen of the address. A script that is gone means that Inlet was replaced by another version meanwhile. */
export function CurrentScreen() {
  const { path } = place.value;
  const name = path[0] ?? START;
  const load = Object.hasOwn(SCREENS, name) ? SCREENS[name] : undefined;
  const [failed, setFailed] = useState('');
  const [, note] = useState('');
  useEffect(() => {
    if (!load || loaded.has(name)) return;
    load().then(
      module => {
        loaded.set(name, module);
        note(name);
      },
      () => setFailed(name),
    );
  }, [name]);
  const module = loaded.get(name);
  if (module) return <module.Route path={path} />;
  if (!load)
    return (
      <Screen title="No such page">
        <p>
          There is nothing at this address. <a href={linkTo([])}>Go to the start</a>.
        </p>
      </Screen>
    );
  if (failed === name)
    return (
      <Screen title="A newer Inlet runs">
        <p>This page is of the version before, or the server is away. Load it again.</p>
        <button type="button" onClick={() => location.reload()}>
          Load the page again
        </button>
      </Screen>
    );
  return (
    <main id="main">
      <p class="loading" role="status">
        Loading…
      </p>
    </main>
  );
}
