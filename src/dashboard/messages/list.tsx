import type { z } from 'zod';
import type { shortMessage } from '../../http/v1/mailShapes.ts';
import { MailTabs } from '../mails/tabs.tsx';
import { linkTo } from '../router.ts';
import { mayWrite } from '../session.ts';
import { type Column, ListScreen } from '../shell/list.tsx';
import { Time } from '../ui.tsx';

type ShortMessage = z.infer<typeof shortMessage>;

const COLUMNS: Column<ShortMessage>[] = [
  { title: 'Subject', show: each => <a href={linkTo(['messages', each.id])}>{each.subject || 'without a subject'}</a> },
  {
    title: 'For',
    show: each =>
      each.transactionalId === null ? (
        'workflows'
      ) : (
        <a href={linkTo(['transactional', each.transactionalId])}>a transactional email</a>
      ),
  },
  { title: 'Changed', show: each => <Time at={each.updatedAt} /> },
];

/** Everything that mails are made of, newest first. */
export function MessageList() {
  const add = mayWrite.value && (
    <a class="button main" href={linkTo(['messages', 'add'])}>
      Write a message
    </a>
  );
  return (
    <ListScreen
      title="Messages"
      actions={add}
      above={<MailTabs />}
      at={['messages']}
      api="/email-messages"
      columns={COLUMNS}
      empty={
        <>
          <p>A message is what a workflow sends: a subject, HTML and variables. Write the first one.</p>
          {add}
        </>
      }
    />
  );
}
