import { callApi } from '../api.ts';
import { linkTo } from '../router.ts';
import { Screen, Show, useLoaded } from '../ui.tsx';
import { MessageEditor } from './editor.tsx';
import type { Message } from './message.ts';

/** One message. A version of a transactional email is changed by its draft. */
export function MessageDetail({ id }: { id: string }) {
  const message = useLoaded(id, () => callApi<Message>('GET', `/email-messages/${encodeURIComponent(id)}`));
  return (
    <Screen title={message.data?.subject || 'Message'}>
      <Show of={message}>
        {one => (
          <>
            {one.transactionalId !== undefined && (
              <p class="step">
                A version of <a href={linkTo(['transactional', one.transactionalId])}>a transactional email</a>. What is
                published is changed by a draft.
              </p>
            )}
            <MessageEditor message={one} show={message.set} reload={message.reload} />
          </>
        )}
      </Show>
    </Screen>
  );
}
