-- Portable between SQLite and PostgreSQL: text, integer, bigint (ms since 1970), unique, partial indexes.
create table meta (key text primary key, value text not null);

create table keys (
  id text primary key,
  name text not null,
  hash text not null unique,
  hint text not null,
  created_at bigint not null,
  last_used_at bigint
);

create table endpoints (
  id text primary key,
  provider text not null,
  name text not null,
  paused integer not null,
  settings text not null,
  sealed_api_key text,
  events text not null,
  created_at bigint not null,
  updated_at bigint not null,
  last_received_at bigint,
  last_rejected_at bigint,
  last_rejected_cause text
);

create table secrets (
  id text primary key,
  endpoint_id text not null,
  sealed text not null,
  hint text not null,
  created_at bigint not null,
  expires_at bigint,
  last_used_at bigint
);
create index secrets_endpoint on secrets (endpoint_id);

create table deliveries (
  id text primary key,
  endpoint_id text not null,
  provider text not null,
  external_id text,
  type text not null,
  status text not null,
  message text not null,
  received_at bigint not null,
  occurred_at bigint,
  processed_at bigint,
  due_at bigint not null,
  leased integer not null,
  attempts integer not null,
  crashes integer not null,
  duplicates integer not null,
  contact_id text,
  identity_id text,
  secret_id text,
  response text not null,
  effects text not null,
  replays integer not null,
  dedupe_group text,
  error text
);
create unique index deliveries_external on deliveries (endpoint_id, external_id);
create index deliveries_open on deliveries (status, due_at, id) where status <> 'processed';
create index deliveries_contact on deliveries (contact_id, id) where contact_id is not null;
create index deliveries_identity on deliveries (identity_id) where status = 'waiting';
create index deliveries_group on deliveries (endpoint_id, dedupe_group, id) where dedupe_group is not null;

create table payloads (
  delivery_id text primary key,
  body text,
  headers text not null
);

create table identities (
  id text primary key,
  provider text not null,
  contact_id text,
  registers text not null,
  created_at bigint not null
);
create index identities_contact on identities (contact_id);

create table links (
  value text not null,
  identity_id text not null,
  primary key (value, identity_id)
);

create table contacts (
  id text primary key,
  email text not null unique,
  user_id text,
  first_name text,
  last_name text,
  source text not null,
  user_group text not null,
  subscribed integer not null,
  properties text not null,
  created_at bigint not null,
  updated_at bigint not null
);
create index contacts_user on contacts (user_id) where user_id is not null;

create table lists (
  id text primary key,
  name text not null,
  description text,
  is_public integer not null,
  created_at bigint not null
);

create table memberships (
  contact_id text not null,
  list_id text not null,
  primary key (contact_id, list_id)
);
create index memberships_list on memberships (list_id, contact_id);

create table properties (
  key text primary key,
  type text not null,
  created_at bigint not null
);

create table events (
  id text primary key,
  effect_key text not null unique,
  event_name text not null,
  contact_id text not null,
  email text not null,
  event_properties text not null,
  delivery_id text,
  created_at bigint not null
);
create index events_contact on events (contact_id, id);
create index events_name on events (event_name, id);

create table jobs (
  id text primary key,
  kind text not null,
  unique_key text unique,
  payload text not null,
  status text not null,
  due_at bigint not null,
  attempts integer not null,
  error text,
  created_at bigint not null
);
create index jobs_open on jobs (due_at) where status = 'queued';
