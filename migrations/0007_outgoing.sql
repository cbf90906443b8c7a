-- Outgoing webhooks: who wants to hear what, and one row per call to make.
create table webhook_subscriptions (
  id text primary key,
  name text not null,
  url text not null,
  event_names text not null,
  state text not null,
  reason text,
  sealed_secret text not null,
  secret_hint text not null,
  sealed_old_secret text,
  old_secret_until bigint,
  failing_since bigint,
  created_at bigint not null,
  updated_at bigint not null
);

create table webhook_calls (
  id text primary key,
  unique_key text not null unique,
  subscription_id text not null,
  event_name text not null,
  body text not null,
  state text not null,
  due_at bigint not null,
  leased integer not null,
  attempts integer not null,
  failures integer not null,
  crashes integer not null,
  history text not null,
  created_at bigint not null,
  finished_at bigint
);
create index webhook_calls_open on webhook_calls (subscription_id, due_at, id) where state = 'queued';
create index webhook_calls_leased on webhook_calls (id) where leased = 1;
create index webhook_calls_finished on webhook_calls (finished_at) where finished_at is not null;
create index webhook_calls_subscription on webhook_calls (subscription_id, state, id);
