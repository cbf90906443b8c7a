create table workflows (
  id text primary key,
  name text not null,
  description text,
  mailing_list_id text,
  state text not null,
  revision_id text,
  graph text not null,
  root_node text not null,
  paused_at bigint,
  created_at bigint not null,
  updated_at bigint not null
);
create index workflows_listening on workflows (state, id) where state in ('running', 'paused');

create table runs (
  id text primary key,
  workflow_id text not null,
  contact_id text not null,
  entry text not null,
  status text not null,
  node_id text not null,
  waiting integer not null,
  visits integer not null,
  guards text not null,
  due_at bigint not null,
  since bigint not null,
  attempts integer not null,
  event_id text,
  delivery_id text,
  reason text,
  created_at bigint not null,
  ended_at bigint,
  hour bigint not null default -1,
  pruned integer not null default 0
);
create unique index runs_entry on runs (workflow_id, contact_id, entry);
create index runs_due on runs (due_at, id) where status = 'active';
create index runs_open on runs (workflow_id, node_id) where ended_at is null;
create index runs_held on runs (workflow_id, due_at) where status = 'held';
create index runs_contact on runs (contact_id, id);
create index runs_hour on runs (contact_id, hour);
create index runs_since on runs (since) where status = 'active';
create index runs_status on runs (status, workflow_id, id);
create index runs_ended on runs (ended_at) where ended_at is not null and pruned = 0;

create table steps (
  run_id text not null,
  visit integer not null,
  workflow_id text not null,
  node_id text not null,
  type_name text not null,
  outcome text not null,
  detail text not null,
  at bigint not null,
  done_at bigint,
  primary key (run_id, visit)
);
create index steps_node on steps (workflow_id, node_id, outcome, run_id, visit);
