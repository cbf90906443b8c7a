create table backfills (
  id text primary key,
  endpoint_id text not null,
  provider text not null,
  state text not null,
  dry_run integer not null,
  trigger_events integer not null,
  requests_per_second integer not null,
  cursor text,
  page_done text,
  pages integer not null,
  total integer,
  counts text not null,
  reasons text not null,
  tries integer not null,
  error text,
  due_at bigint not null,
  lease text,
  created_at bigint not null,
  started_at bigint,
  finished_at bigint
);
create unique index backfills_open on backfills (endpoint_id) where state in ('queued', 'running');
create index backfills_endpoint on backfills (endpoint_id, id);
