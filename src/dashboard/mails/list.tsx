import { callApi, type Mail } from '../api.ts';
import { linkTo } from '../router.ts';
import { mayWrite } from '../session.ts';
import { type Column, type Filter, ListScreen } from '../shell/list.tsx';
import { Chip, Failure, Show, Time, useAction, useLoaded } from '../ui.tsx';
import { MailTabs } from './tabs.tsx';

const STATES = ['queued', 'held', 'sending', 'sent', 'failed', 'bounced', 'suppressed'];
const FILTERS: Filter[] = [
  { name: 'state', label: 'State', options: STATES.map(each => [each, each]) },
  { name: 'email', label: 'Address' },
];
const COLUMNS: Column<Mail>[] = [
  { title: 'Made', show: each => <Time at={each.createdAt} /> },
  { title: 'State', show: each => <Chip state={each.state} /> },
  { title: 'To', show: each => each.to },
  {
    title: 'Subject',
    show: each => <a href={linkTo(['mails', each.id])}>{each.subject ?? 'not written out yet'}</a>,
  },
  { title: 'What the mail server said', show: each => each.error ?? <span class="faint">–</span> },
];

/** Mails, newest first, of whatever kind. */
export function MailList() {
  return (
    <ListScreen
      title="Mails"
      above={
        <>
          <MailTabs />
          <MailStatus />
        </>
      }
      at={['mails']}
      api="/mails"
      filters={FILTERS}
      hidden={['contactId']}
      columns={COLUMNS}
      empty={
        <>
          No mail was made yet. Mails come from <a href="../swagger">POST /transactional</a> and from workflows; each
          shows here with what the mail server said to it.
        </>
      }
    />
  );
}

interface Status {
  paused: boolean;
  smtp: boolean;
  trouble: string | null;
  queued: number;
  held: number;
}

/** Whether mail goes out at all, and the switch. */
function MailStatus() {
  const status = useLoaded('mail', () => callApi<Status>('GET', '/mail'));
  const { busy, error, run } = useAction();
  const toggle = (paused: boolean) =>
    run(async () => status.set(await callApi<Status>('PATCH', '/mail', { paused: !paused })));
  return (
    <Show of={status}>
      {({ paused, smtp, trouble, queued, held }) => (
        <section aria-label="The mail server" class="row">
          <p class={trouble || paused || !smtp ? 'note' : 'step'}>
            {!smtp
              ? 'No mail server is set: start Inlet with INLET_SMTP_URL and INLET_MAIL_FROM. Until then mails are held.'
              : paused
                ? 'All mail is paused: nothing goes out, nothing is lost.'
                : 'Mail goes out.'}{' '}
            {trouble} {queued > 0 && `${queued} wait. `}
            {held > 0 && `${held} are held. `}
          </p>
          {mayWrite.value && (
            <button type="button" disabled={busy} onClick={() => void toggle(paused)}>
              {paused ? 'Let mail go out' : 'Pause all mail'}
            </button>
          )}
          <Failure message={error} />
        </section>
      )}
    </Show>
  );
}
