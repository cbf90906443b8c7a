import { useState } from 'preact/hooks';
import { ApiError, callApi } from '../api.ts';
import { linkTo } from '../router.ts';
import { mayWrite } from '../session.ts';
import { Chip, Failure, Show, TextField, useAction, useLoaded } from '../ui.tsx';

interface Health {
  status: 'ok' | 'trouble';
  version?: string;
  storeTrouble?: string | null;
  clockSkewSeconds?: number | null;
  mailTrouble?: string | null;
  backlog?: number;
  deadJobs?: number;
}
interface MailStatus {
  paused: boolean;
  maxPerContactPerDay: number | null;
  maxPerHour: number | null;
  smtp: boolean;
  trouble: string | null;
  queued: number;
  held: number;
}

/** `/health` lies beside the API, and answers 503 with its report while it is not well. */
async function loadHealth(): Promise<Health> {
  const answer = await fetch('../health', { credentials: 'same-origin' }).catch(() => null);
  if (!answer) throw new ApiError(0, 'Inlet does not answer. Check that the server runs, then try again.');
  return answer.json();
}

/** How the server is, and what mail may do. */
export function Server() {
  const health = useLoaded('health', loadHealth);
  const mail = useLoaded('mail', () => callApi<MailStatus>('GET', '/mail'));
  return (
    <>
      <Show of={health}>{found => <Report of={found} />}</Show>
      <h2>Mail</h2>
      <Show of={mail}>
        {found => (
          <>
            {found.trouble && <p class="note">{found.trouble}</p>}
            <dl class="facts">
              <dt>Mail server</dt>
              <dd>
                {found.smtp ? 'set (INLET_SMTP_URL)' : 'none: start Inlet with INLET_SMTP_URL and INLET_MAIL_FROM'}
              </dd>
              <dt>Waiting</dt>
              <dd>
                <a href={linkTo(['mails'], { state: 'queued' })}>{found.queued}</a>
              </dd>
              <dt>Held</dt>
              <dd>
                <a href={linkTo(['mails'], { state: 'held' })}>{found.held}</a>
              </dd>
            </dl>
            {mayWrite.value && <Limits of={found} show={mail.set} />}
          </>
        )}
      </Show>
      <h2>More</h2>
      <p>
        <code>inlet doctor</code> on the server's machine checks the data folder, the database, the clock, the public
        URL and the mail server. The whole API is documented at <a href="../swagger">/swagger</a>.
      </p>
    </>
  );
}

function Report({ of: found }: { of: Health }) {
  const facts: [string, string | number | null | undefined][] = [
    ['Version', found.version],
    ['Database', found.storeTrouble],
    ['Our clock against the senders’', found.clockSkewSeconds && `${found.clockSkewSeconds} s`],
    ['Mail', found.mailTrouble],
    ['Deliveries that wait', found.backlog],
    ['Jobs given up', found.deadJobs],
  ];
  return (
    <>
      <p class="row">
        <Chip state={found.status === 'ok' ? 'live' : 'failing'} />
        {found.status === 'ok' ? 'The server is well.' : 'The server is in trouble: see its log, or run inlet doctor.'}
      </p>
      <dl class="facts">
        {facts.map(
          ([name, value]) =>
            value !== undefined && (
              <div key={name}>
                <dt>{name}</dt>
                <dd>{value ?? 'well'}</dd>
              </div>
            ),
        )}
      </dl>
    </>
  );
}

/** Empty: no limit. */
const readLimit = (text: string): number | null => (text.trim() === '' ? null : Number(text));

function Limits({ of: found, show }: { of: MailStatus; show(changed: MailStatus): void }) {
  const [day, setDay] = useState(String(found.maxPerContactPerDay ?? ''));
  const [hour, setHour] = useState(String(found.maxPerHour ?? ''));
  const { busy, error, run } = useAction();
  const save = async () =>
    show(
      await callApi<MailStatus>('PATCH', '/mail', { maxPerContactPerDay: readLimit(day), maxPerHour: readLimit(hour) }),
    );
  const toggle = async () => show(await callApi<MailStatus>('PATCH', '/mail', { paused: !found.paused }));
  return (
    <form
      class="row"
      onSubmit={event => {
        event.preventDefault();
        void run(save);
      }}
    >
      <TextField label="Mails to a contact in a day, at most" type="number" value={day} onInput={setDay} />
      <TextField label="Mails in an hour, at most" type="number" value={hour} onInput={setHour} />
      <button type="submit" disabled={busy}>
        Save the limits
      </button>
      <button type="button" disabled={busy} onClick={() => void run(toggle)}>
        {found.paused ? 'Let mail go out' : 'Pause all mail'}
      </button>
      <Failure message={error} />
    </form>
  );
}
