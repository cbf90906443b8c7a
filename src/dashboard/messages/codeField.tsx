import { useEffect, useId, useRef } from 'preact/hooks';
import { type Fault, findOffset } from './message.ts';

interface Props {
  label: string;
  value: string;
  /** Where something is wrong with it. */
  fault: Fault | null;
  /** Whether to go there: not while one types. */
  goThere: boolean;
  readOnly: boolean;
  onInput(value: string): void;
}

/** Source with its lines numbered; a faulty line is marked, and the cursor goes there. */
export function CodeField({ label, value, fault, goThere, readOnly, onInput }: Props) {
  const id = useId();
  const field = useRef<HTMLTextAreaElement>(null);
  const numbers = useRef<HTMLPreElement>(null);
  const lines = value.split('\n').length;
  useEffect(() => {
    if (!goThere || !field.current || !fault || fault.line === null) return;
    const at = findOffset(value, fault.line, fault.column ?? 1);
    field.current.focus();
    field.current.setSelectionRange(at, at + 1);
    const height = field.current.scrollHeight / Math.max(1, lines);
    field.current.scrollTop = Math.max(0, (fault.line - 4) * height);
  }, [fault]);
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <div class="code">
        <div class="gutter" aria-hidden="true">
          <pre ref={numbers}>
            {Array.from({ length: lines }, (_, at) => (
              <span key={at} class={fault?.line === at + 1 ? 'wrong' : ''}>
                {at + 1}
                {'\n'}
              </span>
            ))}
          </pre>
        </div>
        <textarea
          id={id}
          ref={field}
          rows={Math.min(30, Math.max(10, lines + 1))}
          wrap="off"
          spellcheck={false}
          readOnly={readOnly}
          aria-invalid={fault !== null}
          aria-describedby={fault ? `${id}-fault` : undefined}
          value={value}
          onInput={event => onInput(event.currentTarget.value)}
          onScroll={event => {
            if (numbers.current) numbers.current.scrollTop = event.currentTarget.scrollTop;
          }}
        />
      </div>
      {fault && (
        <p class="failure" id={`${id}-fault`}>
          {fault.text}
        </p>
      )}
    </div>
  );
}
