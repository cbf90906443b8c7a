create table email_messages (
  id text primary key,
  content text not null,
  revision_id text not null,
  transactional_id text,
  created_at bigint not null,
  updated_at bigint not null
);

create table transactionals (
  id text primary key,
  name text not null,
  draft_id text,
  published_id text,
  created_at bigint not null,
  updated_at bigint not null
);

create table mails (
  id text primary key,
  mail_key text not null unique,
  contact_id text,
  recipient text not null,
  email_message_id text not null,
  data text not null,
  transactional integer not null,
  workflow_run_id text,
  transactional_id text,
  state text not null,
  held_for text,
  forced integer not null,
  message_id text not null,
  subject text,
  html text,
  plain text,
  due_at bigint not null,
  attempts integer not null,
  failures integer not null,
  crashes integer not null,
  error text,
  created_at bigint not null,
  sent_at bigint
);
create index mails_queued on mails (due_at, id) where state = 'queued';
create index mails_sending on mails (due_at) where state = 'sending';
create index mails_held on mails (held_for, id) where state = 'held';
create index mails_state on mails (state, id) where state <> 'sent';
create index mails_sent on mails (sent_at) where sent_at is not null and transactional = 0;
create index mails_contact on mails (contact_id, id) where contact_id is not null;
create index mails_recipient on mails (recipient, id);
create index mails_kept on mails (id) where html is not null or data <> '{}';
