import { Tabs } from '../shell/shell.tsx';

/** Everything about mail, one beside the other. */
export function MailTabs() {
  return (
    <Tabs
      label="About mail"
      tabs={[
        ['Mails', ['mails']],
        ['Messages', ['messages']],
        ['Transactional emails', ['transactional']],
        ['Suppressed addresses', ['suppressions']],
      ]}
    />
  );
}
