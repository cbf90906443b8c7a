-- Counts by minute and by hour, written by each instance every few seconds. Nothing in a webhook's transaction touches them.
create table stats (
  resolution text not null,
  at bigint not null,
  kind text not null,
  name text not null,
  amount integer not null,
  total bigint not null,
  primary key (resolution, at, kind, name)
);
