-- Which workflow a mail is of, and how often that had been stopped when the mail was queued: a stop holds for all mails of before.
alter table mails add column workflow_id text;
alter table mails add column workflow_epoch integer;
alter table workflows add column epoch integer not null default 0;
update mails set
  workflow_id = (select runs.workflow_id from runs where runs.id = mails.workflow_run_id),
  workflow_epoch = 0
where workflow_run_id is not null and state in ('queued', 'held', 'sending');

-- 1: what it was filled in with is forgotten. One that was rendered and has no text any more is such a one.
alter table mails add column pruned integer not null default 0;
update mails set pruned = 1 where subject is not null and html is null and plain is null;

-- When the link in this mail unsubscribed its address: only that may be taken back.
alter table mails add column unsubscribed_at bigint;

create index mails_urgent on mails (due_at, id) where state = 'queued' and transactional = 1;
drop index mails_kept;
create index mails_kept on mails (id) where (html is not null or data <> '{}') and state not in ('queued', 'held', 'sending');
