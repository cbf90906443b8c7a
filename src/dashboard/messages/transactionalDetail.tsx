import { callApi } from '../api.ts';
import { mayWrite } from '../session.ts';
import { Chip, Failure, Screen, Show, useAction, useLoaded } from '../ui.tsx';
import { MessageEditor } from './editor.tsx';
import type { Message } from './message.ts';
import type { Transactional } from './transactionalList.tsx';

interface Whole {
  email: Transactional;
  /** The draft, else what is published. */
  message: Message | null;
}

async function loadWhole(id: string): Promise<Whole> {
  const email = await callApi<Transactional>('GET', `/transactional-emails/${encodeURIComponent(id)}`);
  const messageId = email.draftEmailMessageId ?? email.publishedEmailMessageId;
  const message = messageId === null ? null : await callApi<Message>('GET', `/email-messages/${messageId}`);
  return { email, message };
}

/** A transactional email: what is sent, its draft, and how a program sends it. */
export function TransactionalDetail({ id }: { id: string }) {
  const whole = useLoaded(id, () => loadWhole(id));
  const { busy, error, run } = useAction();
  const tell = (verb: 'draft' | 'publish') =>
    run(async () => {
      await callApi('POST', `/transactional-emails/${id}/${verb}`);
      await whole.reload();
    });
  return (
    <Screen
      title={whole.data?.email.name ?? 'Transactional email'}
      actions={whole.data && <Chip state={whole.data.email.publishedEmailMessageId ? 'live' : 'draft'} />}
    >
      <Show of={whole}>
        {({ email, message }) => {
          const isDraft = email.draftEmailMessageId !== null;
          return (
            <>
              <p class="step">
                {isDraft
                  ? email.publishedEmailMessageId
                    ? 'This is a draft. Until it is published the version before is sent.'
                    : 'This is a draft. Publish it to be able to send it.'
                  : 'This is what is sent. Begin a draft to change it.'}
              </p>
              {mayWrite.value && (
                <p class="row">
                  <button
                    type="button"
                    class="main"
                    disabled={busy}
                    onClick={() => void tell(isDraft ? 'publish' : 'draft')}
                  >
                    {isDraft ? 'Publish what is saved' : 'Begin a draft'}
                  </button>
                </p>
              )}
              <Failure message={error} />
              {message && (
                <MessageEditor
                  key={message.id}
                  message={message}
                  show={changed => whole.set({ email, message: changed })}
                  reload={whole.reload}
                />
              )}
              <h2>Send it from a program</h2>
              {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, also by keyboard */}
              <pre tabIndex={0}>{showCall(email)}</pre>
            </>
          );
        }}
      </Show>
    </Screen>
  );
}

function showCall({ id, dataVariables }: Transactional): string {
  const body = {
    ...{ transactionalId: id, email: 'ada@example.com' },
    dataVariables: Object.fromEntries(dataVariables.map(name => [name, '…'])),
  };
  return `curl -X POST ${new URL('../api/v1/transactional', location.href)} \\
  -H "Authorization: Bearer $INLET_API_KEY" -H "Content-Type: application/json" \\
  -d '${JSON.stringify(body)}'`;
}
