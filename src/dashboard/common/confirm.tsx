import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';
import { Failure, useAction } from '../ui.tsx';

interface ConfirmProps {
  /** The question, which names what it is about. */
  title: string;
  /** What the button that does it says. */
  action: string;
  /** What cannot be taken back looks so. */
  isDanger?: boolean;
  work(): Promise<void>;
  close(): void;
  children: ComponentChildren;
}

/** Asks before something is done: the browser's own dialog, which holds the focus, ends by Escape and gives the focus back. */
export function Confirm({ title, action, isDanger = false, work, close, children }: ConfirmProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  const { busy, error, run } = useAction();
  useEffect(() => dialog.current?.showModal(), []);
  const act = async () => {
    await work();
    dialog.current?.close();
  };
  return (
    <dialog ref={dialog} aria-labelledby={id} onClose={close}>
      <h2 id={id}>{title}</h2>
      {children}
      <Failure message={error} />
      <p class="row">
        <button type="button" onClick={() => dialog.current?.close()}>
          Cancel
        </button>
        <button type="button" class={isDanger ? 'bad' : 'main'} disabled={busy} onClick={() => void run(act)}>
          {action}
        </button>
      </p>
    </dialog>
  );
}
