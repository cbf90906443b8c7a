import { useState } from 'preact/hooks';
import { ApiError, appendQuery, callApi } from '../api.ts';
import { linkTo, place, visit } from '../router.ts';
import { mayWrite } from '../session.ts';
import { Chip, Empty, Failure, Screen, SelectField, Show, TextField, useAction, useLoaded } from '../ui.tsx';
import { MailTabs } from './tabs.tsx';

interface Suppression {
  contact: { id: string; email: string };
  isSuppressed: boolean;
  removalQuota: { limit: number; remaining: number };
}

type Reason = 'bounce' | 'complaint' | 'manual';
const REASONS: [Reason, string][] = [
  ['bounce', 'mail to it came back'],
  ['complaint', 'its reader complained'],
  ['manual', 'other: asked by hand'],
];

/** Nobody with this address: null. */
async function findSuppression(email: string): Promise<Suppression | null> {
  try {
    return await callApi<Suppression>('GET', appendQuery('/contacts/suppression', { email }));
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}

/** Whether an address gets mail at all; suppressing and freeing it. */
export function Suppressions() {
  const email = place.value.query.get('email') ?? '';
  const [text, setText] = useState(email);
  return (
    <Screen title="Suppressed addresses">
      <MailTabs />
      <p class="hint">
        An address is suppressed once its mailbox turns out not to exist, or its reader complains. It gets no mail then,
        of whatever kind. Look an address up:
      </p>
      <form
        class="row"
        onSubmit={event => {
          event.preventDefault();
          visit(linkTo(['suppressions'], { email: text.trim() }));
        }}
      >
        <TextField label="Address" value={text} onInput={setText} required />
        <button type="submit">Look it up</button>
      </form>
      {email && <Answer key={email} email={email} />}
    </Screen>
  );
}

function Answer({ email }: { email: string }) {
  const found = useLoaded(email, () => findSuppression(email));
  return (
    <Show of={found}>
      {answer => (
        <section aria-labelledby="answer">
          <h2 id="answer">
            {email} {answer && <Chip state={answer.isSuppressed ? 'suppressed' : 'gets mail'} />}
          </h2>
          {answer === null && (
            <Empty>
              No contact shows this address now. It can be suppressed all the same: whoever shows it later gets no mail.
            </Empty>
          )}
          {answer && (
            <p>
              <a href={linkTo(['contacts', answer.contact.id])}>The contact</a> ·{' '}
              <a href={linkTo(['mails'], { email })}>Mails to it</a>
            </p>
          )}
          {mayWrite.value && answer?.isSuppressed && <Free email={email} found={answer} reload={found.reload} />}
          {mayWrite.value && !answer?.isSuppressed && <Suppress email={email} reload={found.reload} />}
        </section>
      )}
    </Show>
  );
}

function Free(props: { email: string; found: Suppression; reload(): Promise<void> }) {
  const { email, found, reload } = props;
  const { busy, error, run } = useAction();
  const free = async () => {
    await callApi('DELETE', appendQuery('/contacts/suppression', { email }));
    await reload();
  };
  return (
    <>
      <p>
        Only where you know that its mailbox works again. {found.removalQuota.remaining} of {found.removalQuota.limit}{' '}
        removals are left within 30 days.
      </p>
      <button type="button" disabled={busy} onClick={() => void run(free)}>
        Let mail reach it again
      </button>
      <Failure message={error} />
    </>
  );
}

function Suppress({ email, reload }: { email: string; reload(): Promise<void> }) {
  const [reason, setReason] = useState<Reason>('manual');
  const [done, setDone] = useState(false);
  const { busy, error, run } = useAction();
  const suppress = async () => {
    await callApi('POST', '/contacts/suppression', { email, reason });
    setDone(true);
    await reload();
  };
  return (
    <form
      class="row"
      onSubmit={event => {
        event.preventDefault();
        void run(suppress);
      }}
    >
      <SelectField label="Why" value={reason} options={REASONS} onChange={next => setReason(next)} />
      <button type="submit" class="bad" disabled={busy}>
        Suppress this address
      </button>
      <Failure message={error} />
      {done && <p role="status">It gets no mail from now on.</p>}
    </form>
  );
}
