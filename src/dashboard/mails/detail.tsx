import { useState } from 'preact/hooks';
import { callApi, type WholeMail } from '../api.ts';
import { MailFrame } from '../common/mailFrame.tsx';
import { linkTo } from '../router.ts';
import { mayWrite } from '../session.ts';
import { Chip, Failure, Screen, Show, Time, useAction, useLoaded } from '../ui.tsx';
import { canCancel, canRetry, explainMail } from './explainMail.ts';

/** One mail: what became of it and why, and what its reader sees. */
export function MailDetail({ id }: { id: string }) {
  const mail = useLoaded(id, () => callApi<WholeMail>('GET', `/mails/${encodeURIComponent(id)}`));
  return (
    <Screen title={mail.data?.subject || 'Mail'} actions={mail.data && <Chip state={mail.data.state} />}>
      <Show of={mail}>
        {one => (
          <>
            <p class="step">{explainMail(one)}</p>
            {one.error !== null && <p class="note">{one.error}</p>}
            <Facts of={one} />
            {mayWrite.value && <Actions of={one} reload={mail.reload} />}
            <Contents of={one} />
          </>
        )}
      </Show>
    </Screen>
  );
}

function Facts({ of: one }: { of: WholeMail }) {
  const links: [name: string, path: string[] | null, text: string][] = [
    ['Contact', one.contactId === null ? null : ['contacts', one.contactId], one.contactId ?? ''],
    ['Run of a workflow', one.workflowRunId === null ? null : ['runs', one.workflowRunId], one.workflowRunId ?? ''],
    ['Message', ['messages', one.emailMessageId], one.emailMessageId],
  ];
  return (
    <dl class="facts">
      <dt>To</dt>
      <dd>
        {one.to} <a href={linkTo(['suppressions'], { email: one.to })}>Is it suppressed?</a>
      </dd>
      <dt>Made</dt>
      <dd>
        <Time at={one.createdAt} />
      </dd>
      <dt>Sent</dt>
      <dd>
        <Time at={one.sentAt} />
      </dd>
      <dt>Attempts</dt>
      <dd>
        {one.attempts}
        {one.nextAttemptAt !== null && (
          <>
            , the next one <Time at={one.nextAttemptAt} />
          </>
        )}
      </dd>
      {links.map(
        ([name, path, text]) =>
          path && (
            <div key={name}>
              <dt>{name}</dt>
              <dd>
                <a href={linkTo(path)}>{text}</a>
              </dd>
            </div>
          ),
      )}
      <dt>Message-ID</dt>
      <dd>
        <code>{one.messageId}</code>
      </dd>
    </dl>
  );
}

function Actions({ of: one, reload }: { of: WholeMail; reload(): Promise<void> }) {
  const { busy, error, run } = useAction();
  const tell = (verb: 'retry' | 'cancel') =>
    run(async () => {
      await callApi('POST', `/mails/${one.id}/${verb}`);
      await reload();
    });
  if (one.state === 'sent') return null;
  return (
    <section aria-label="What can be done">
      <p class="row">
        {canRetry(one) && (
          <button type="button" disabled={busy} onClick={() => void tell('retry')}>
            Send it now
          </button>
        )}
        {canCancel(one) && (
          <button type="button" class="bad" disabled={busy} onClick={() => void tell('cancel')}>
            Take it back
          </button>
        )}
        <button type="button" disabled={busy} onClick={() => void run(reload)}>
          Look again
        </button>
      </p>
      <Failure message={error} />
    </section>
  );
}

type Way = 'html' | 'text' | 'source';
const WAYS: [Way, string][] = [
  ['html', 'As it looks'],
  ['text', 'Plain text'],
  ['source', 'Source of the HTML'],
];

function Contents({ of: { html, text } }: { of: WholeMail }) {
  const [way, setWay] = useState<Way>(html === null ? 'text' : 'html');
  if (html === null && text === null)
    return (
      <p class="faint">
        {mayWrite.value
          ? 'Its contents are not there: it is not written out yet, or past its time (INLET_RETENTION_DAYS).'
          : 'Contents of mails are not shown to who may only read.'}
      </p>
    );
  const shown = way === 'text' ? text : html;
  return (
    <section aria-labelledby="contents">
      <h2 id="contents">Contents</h2>
      <fieldset class="choice-row" aria-label="How to show it">
        {WAYS.map(([each, name]) => (
          <button key={each} type="button" aria-pressed={way === each} onClick={() => setWay(each)}>
            {name}
          </button>
        ))}
      </fieldset>
      {shown === null ? (
        <p class="faint">It has no such part.</p>
      ) : way === 'html' ? (
        <MailFrame html={shown} />
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, also by keyboard
        <pre tabIndex={0}>{shown}</pre>
      )}
    </section>
  );
}
