-- A CSV file on its way into the audience: stored whole first, then applied in steps.
create table imports (
  id text primary key,
  state text not null,
  plan text not null,
  error text,
  bytes bigint not null,
  bytes_done bigint not null,
  lines integer not null,
  created integer not null,
  updated integer not null,
  unchanged integer not null,
  failed integer not null,
  created_at bigint not null,
  finished_at bigint
);
create table import_chunks (
  import_id text not null,
  seq integer not null,
  content text not null,
  primary key (import_id, seq)
);
create table import_failures (
  import_id text not null,
  line integer not null,
  culprit text,
  message text not null,
  cells text not null,
  primary key (import_id, line)
);

-- Who was erased, as keyed hashes of ids and addresses: nothing old revives them.
create table tombstones (
  hash text primary key,
  erased_at bigint not null
);
-- Erasures whose search for copies is under way; gone when it is done.
create table erasures (
  contact_id text primary key,
  needles text not null,
  created_at bigint not null
);
