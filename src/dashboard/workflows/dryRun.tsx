import { useState } from 'preact/hooks';
import type { z } from 'zod';
import type { way } from '../../http/v1/workflowShapes.ts';
import { callApi } from '../api.ts';
import { readValues } from '../common/readValues.ts';
import { Failure, TextField, Time, useAction } from '../ui.tsx';
import { findNodeType } from './nodeTypes.ts';

type Way = z.infer<typeof way>;

/** The way that one contact would take now, drawn on the canvas. Nothing is written or sent. */
export function DryRun({ id, showWay }: { id: string; showWay(nodes: ReadonlySet<string>): void }) {
  const [email, setEmail] = useState('');
  const [properties, setProperties] = useState('');
  const [taken, setTaken] = useState<Way | null>(null);
  const { busy, error, run } = useAction();
  const walk = async () => {
    const body = { ...(email.trim() && { email: email.trim() }), eventProperties: readValues(properties) };
    const found = await callApi<Way>('POST', `/workflows/${id}/dry-run`, body);
    setTaken(found);
    showWay(new Set(found.steps.map(each => each.nodeId)));
  };
  return (
    <section aria-labelledby="dry-run">
      <h2 id="dry-run">Try it without sending anything</h2>
      <form
        class="row"
        onSubmit={event => {
          event.preventDefault();
          void run(walk);
        }}
      >
        <TextField label="As this contact" value={email} onInput={setEmail} placeholder="empty: a made-up one" />
        <TextField
          label="The event holds"
          value={properties}
          onInput={setProperties}
          placeholder="plan=pro, amount=29"
        />
        <button type="submit" disabled={busy}>
          Draw the way
        </button>
      </form>
      <Failure message={error} />
      {taken && (
        <div role="status">
          <ol class="steps">
            {taken.steps.map((step, at) => (
              <li key={at}>
                {findNodeType(step.typeName).title} <code class="faint">{step.nodeId}</code>: {step.outcome}{' '}
                <Time at={step.at} />
              </li>
            ))}
          </ol>
          <p>
            It would be {taken.status}
            {taken.reason && `: ${taken.reason}`}.
          </p>
        </div>
      )}
    </section>
  );
}
