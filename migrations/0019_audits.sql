-- Who changed what of the configuration, written in the transaction that changes it.
create table audits (
  id text primary key,
  at bigint not null,
  actor_kind text not null,
  actor_id text,
  actor_name text,
  action text not null,
  target text,
  before text,
  after text,
  detail text
);
create index audits_at on audits (at);
create index audits_actor on audits (actor_id, id);
create index audits_action on audits (action, id);
create index audits_target on audits (target, id);
