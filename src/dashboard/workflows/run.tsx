import type { z } from 'zod';
import type { wholeRun } from '../../http/v1/workflowShapes.ts';
import { callApi } from '../api.ts';
import { linkTo } from '../router.ts';
import { Chip, Screen, Show, Time, useLoaded } from '../ui.tsx';
import { findNodeType } from './nodeTypes.ts';

type WholeRun = z.infer<typeof wholeRun>;

/** One run: its steps, when and with what outcome. */
export function RunDetail({ id }: { id: string }) {
  const run = useLoaded(id, () => callApi<WholeRun>('GET', `/runs/${encodeURIComponent(id)}`));
  return (
    <Screen title="Run of a workflow" actions={run.data && <Chip state={run.data.status} />}>
      <Show of={run}>
        {one => (
          <>
            {one.reason !== null && <p class="step">It ended: {one.reason}.</p>}
            <dl class="facts">
              <dt>Workflow</dt>
              <dd>
                <a href={linkTo(['workflows', one.workflowId])}>{one.workflowId}</a>
              </dd>
              <dt>Contact</dt>
              <dd>
                <a href={linkTo(['contacts', one.contactId])}>{one.contactId}</a>
              </dd>
              {one.deliveryId !== null && (
                <>
                  <dt>Started by the webhook</dt>
                  <dd>
                    <a href={linkTo(['deliveries', one.deliveryId])}>{one.deliveryId}</a>
                  </dd>
                </>
              )}
              <dt>Began</dt>
              <dd>
                <Time at={one.createdAt} />
              </dd>
              <dt>Goes on</dt>
              <dd>
                <Time at={one.nextAt} />
              </dd>
              <dt>Ended</dt>
              <dd>
                <Time at={one.endedAt} />
              </dd>
            </dl>
            <section aria-labelledby="steps">
              <h2 id="steps">Steps</h2>
              <ol class="steps">
                {one.steps.map((step, at) => (
                  <li key={at}>
                    <strong>{findNodeType(step.typeName).title}</strong> <code class="faint">{step.nodeId}</code>:{' '}
                    {step.outcome} <Time at={step.at} />
                    <StepDetail detail={step.detail} />
                  </li>
                ))}
              </ol>
            </section>
          </>
        )}
      </Show>
    </Screen>
  );
}

function StepDetail({ detail: { mailId, mailState, until } }: { detail: Record<string, unknown> }) {
  return (
    <>
      {typeof mailId === 'string' && (
        <>
          {' '}
          · <a href={linkTo(['mails', mailId])}>the mail</a> is {String(mailState)}
        </>
      )}
      {typeof until === 'string' && (
        <>
          {' '}
          · until <Time at={until} />
        </>
      )}
    </>
  );
}
