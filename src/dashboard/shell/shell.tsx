import type { ComponentChildren } from 'preact';
import { linkTo, place } from '../router.ts';
import { mayWrite, signOut } from '../session.ts';
import { Failure, useAction } from '../ui.tsx';

/** Screens by name; the first path is where a link leads, the others belong to it. */
const SCREENS: [name: string, paths: string[]][] = [
  ['Overview', ['overview']],
  ['Endpoints', ['endpoints']],
  ['Deliveries', ['deliveries']],
  ['Contacts', ['contacts']],
  ['Mails', ['mails', 'messages', 'transactional', 'suppressions']],
  ['Workflows', ['workflows', 'runs']],
  ['Settings', ['settings']],
];

/** The frame of every screen: where one can go, and who one is. */
export function Shell({ children }: { children: ComponentChildren }) {
  const { busy, error, run } = useAction();
  const here = place.value.path[0] ?? 'overview';
  return (
    <div class="shell">
      <header>
        <button type="button" class="skip" onClick={focusMain}>
          Skip to the content
        </button>
        <a class="brand" href={linkTo([])}>
          Inlet
        </a>
        <nav aria-label="Screens">
          {SCREENS.map(([name, paths]) => (
            <a key={name} href={linkTo(paths.slice(0, 1))} aria-current={paths.includes(here) ? 'page' : undefined}>
              {name}
            </a>
          ))}
        </nav>
        <div class="self">
          {!mayWrite.value && <span class="chip calm">read only</span>}
          <a href="../swagger">API</a>
          <button type="button" disabled={busy} onClick={() => void run(signOut)}>
            Sign out
          </button>
        </div>
      </header>
      <Failure message={error} />
      {children}
    </div>
  );
}

/** Screens that belong together, one beside the other. */
export function Tabs({ label, tabs }: { label: string; tabs: [name: string, path: string[]][] }) {
  const here = place.value.path.join('/');
  return (
    <nav class="tabs" aria-label={label}>
      {tabs.map(([name, path]) => (
        <a key={name} href={linkTo(path)} aria-current={here === path.join('/') ? 'page' : undefined}>
          {name}
        </a>
      ))}
    </nav>
  );
}

/** A button, not a link: the hash is the address of the screen. */
function focusMain(): void {
  document.querySelector<HTMLElement>('#main h1')?.focus();
}
