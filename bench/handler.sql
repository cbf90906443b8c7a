-- The tables of the hand-written handler, with the indexes that Inlet has on its own.
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

create table memberships (
  contact_id text not null,
  list_id text not null,
  primary key (contact_id, list_id)
);
create index memberships_list on memberships (list_id, contact_id);

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
create index contacts_source on contacts (source, id);
create index contacts_group on contacts (user_group, id);
create index contacts_subscribed on contacts (subscribed, id);
create index contacts_first_name on contacts (lower(first_name), id) where first_name is not null;
create index contacts_last_name on contacts (lower(last_name), id) where last_name is not null;
