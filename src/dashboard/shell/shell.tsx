import type { ComponentChildren } from 'preact';
import { linkTo, place } from '../router.ts';
import { mayWrite, signOut } from '../session.ts';
import { Failure, useAction } from '../ui.tsx';

const SCREENS: [path: string, name: string][] = [
  ['endpoints', 'Endpoints'],
  ['deliveries', 'Deliveries'],
  ['contacts', 'Contacts'],
];

/** The frame of every screen: where one can go, and who one is. */
export function Shell({ children }: { children: ComponentChildren }) {
  const { busy, error, run } = useAction();
  const here = place.value.path[0] ?? 'endpoints';
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
          {SCREENS.map(([path, name]) => (
            <a key={path} href={linkTo([path])} aria-current={here === path ? 'page' : undefined}>
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

/** A button, not a link: the hash is the address of the screen. */
function focusMain(): void {
  document.querySelector<HTMLElement>('#main h1')?.focus();
}
