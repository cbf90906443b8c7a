import type { ComponentChildren } from 'preact';
import { useCallback, useEffect, useId, useLayoutEffect, useRef, useState } from 'preact/hooks';

interface Loaded<T> {
  data: T | undefined;
  /** What went wrong; data of before stays. */
  error: string | null;
  /** Asks again. */
  reload(): Promise<void>;
  set(data: T): void;
}

/** Loads once for each `key`, and again on `reload`. An answer that comes after the next question is dropped. */
export function useLoaded<T>(key: string, load: () => Promise<T>): Loaded<T> {
  const [state, setState] = useState<{ key: string; data?: T; error: string | null }>({ key, error: null });
  const asked = useRef(0);
  const loader = useRef(load);
  loader.current = load;
  const reload = useCallback(async () => {
    const turn = ++asked.current;
    try {
      const data = await loader.current();
      if (turn === asked.current) setState({ key, data, error: null });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      if (turn === asked.current)
        setState(before => ({ key, error: message, ...(before.key === key && { data: before.data }) }));
    }
  }, [key]);
  useEffect(() => {
    void reload();
    return () => {
      asked.current++;
    };
  }, [reload]);
  const set = useCallback(
    (data: T) => {
      asked.current++;
      setState({ key, data, error: null });
    },
    [key],
  );
  const current = state.key === key;
  return { data: current ? state.data : undefined, error: current ? state.error : null, reload, set };
}

/** What a button does: whether it is under way, and what went wrong. */
export function useAction(): { busy: boolean; error: string | null; run(work: () => Promise<void>): Promise<void> } {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const run = async (work: () => Promise<void>) => {
    setBusy(true);
    setError(null);
    try {
      await work();
    } catch (failure) {
      setError(failure instanceof Error ? failure.message : String(failure));
    } finally {
      setBusy(false);
    }
  };
  return { busy, error, run };
}

/** One screen: its heading takes the focus, so that a screen reader says where one has come. */
export function Screen(props: { title: string; actions?: ComponentChildren; children: ComponentChildren }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${props.title} · Inlet`;
  }, [props.title]);
  useLayoutEffect(() => heading.current?.focus({ preventScroll: true }), []);
  return (
    <main id="main">
      <div class="heading">
        <h1 ref={heading} tabIndex={-1}>
          {props.title}
        </h1>
        <div class="actions">{props.actions}</div>
      </div>
      {props.children}
    </main>
  );
}

export function Failure({ message, retry }: { message: string | null; retry?: (() => void) | undefined }) {
  if (message === null) return null;
  return (
    <div class="failure" role="alert">
      <p>{message}</p>
      {retry && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

/** What is loaded, or that it is being loaded, or why it could not be. */
export function Show<T>({ of, children }: { of: Loaded<T>; children: (data: T) => ComponentChildren }) {
  return (
    <>
      <Failure message={of.error} retry={() => void of.reload()} />
      {of.data !== undefined && children(of.data)}
      {of.data === undefined && of.error === null && (
        <p class="loading" role="status">
          Loading…
        </p>
      )}
    </>
  );
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <div class="empty">{children}</div>;
}

const GOOD = ['live', 'processed', 'delivered', 'sent', 'running', 'active', 'completed', 'done', 'gets mail'];
const BAD = ['failing', 'dead', 'rejected', 'failed', 'bounced', 'suppressed', 'cut', 'disabled'];
const TEXTS: Record<string, string> = { needsSecret: 'needs a secret', waitingForFirst: 'waiting for the first' };

export function Chip({ state }: { state: string }) {
  const kind = GOOD.includes(state) ? 'good' : BAD.includes(state) ? 'bad' : 'calm';
  return <span class={`chip ${kind}`}>{TEXTS[state] ?? state}</span>;
}

const shortTime = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

/** In the viewer's zone, with UTC on hover. */
export function Time({ at }: { at: string | null }) {
  if (at === null) return <span class="faint">–</span>;
  return (
    <time dateTime={at} title={at}>
      {shortTime.format(new Date(at))}
    </time>
  );
}

function Field(props: {
  label: string;
  hint?: string | undefined;
  children: (id: string, hintId: string) => ComponentChildren;
}) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{props.label}</label>
      {props.children(id, `${id}-hint`)}
      {props.hint && (
        <p class="hint" id={`${id}-hint`}>
          {props.hint}
        </p>
      )}
    </div>
  );
}

export function TextField(props: {
  label: string;
  value: string;
  onInput(value: string): void;
  hint?: string;
  type?: 'text' | 'password' | 'number';
  required?: boolean;
  placeholder?: string;
}) {
  const { label, hint, value, required, placeholder } = props;
  return (
    <Field label={label} hint={hint}>
      {(id, hintId) => {
        const common = {
          ...{ id, value, required, placeholder, autocomplete: 'off', spellcheck: false },
          'aria-describedby': hint ? hintId : undefined,
          onInput: (event: { currentTarget: HTMLInputElement }) => props.onInput(event.currentTarget.value),
        };
        if (props.type === 'password') return <input type="password" {...common} />;
        return props.type === 'number' ? <input type="number" {...common} /> : <input type="text" {...common} />;
      }}
    </Field>
  );
}

export function SelectField<V extends string>(props: {
  label: string;
  value: V;
  options: [value: V, text: string][];
  onChange(value: V): void;
  hint?: string;
}) {
  const { options, onChange } = props;
  const choose = (text: string) => {
    const chosen = options.find(([value]) => value === text);
    if (chosen) onChange(chosen[0]);
  };
  return (
    <Field label={props.label} hint={props.hint}>
      {id => (
        <select id={id} value={props.value} onChange={event => choose(event.currentTarget.value)}>
          {options.map(([value, text]) => (
            <option key={value} value={value}>
              {text}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

export function CheckField(props: { label: string; hint?: string; value: boolean; onChange(value: boolean): void }) {
  const id = useId();
  return (
    <div class="check">
      <input
        id={id}
        type="checkbox"
        checked={props.value}
        aria-describedby={props.hint ? `${id}-hint` : undefined}
        onChange={event => props.onChange(event.currentTarget.checked)}
      />
      <label for={id}>{props.label}</label>
      {props.hint && (
        <p class="hint" id={`${id}-hint`}>
          {props.hint}
        </p>
      )}
    </div>
  );
}

/** A text to take along: selected by a click, copied where the browser lets pages do so (https or this machine). */
export function Copyable({ label, text }: { label: string; text: string }) {
  const [copied, setCopied] = useState(false);
  return (
    <Field label={label}>
      {id => (
        <div class="copyable">
          <input id={id} readOnly value={text} onFocus={event => event.currentTarget.select()} />
          {'clipboard' in navigator && (
            <button type="button" onClick={() => void navigator.clipboard.writeText(text).then(() => setCopied(true))}>
              {copied ? 'Copied' : 'Copy'}
            </button>
          )}
        </div>
      )}
    </Field>
  );
}
