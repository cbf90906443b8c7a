-- By what an identity is found: email:…, user:…, id:…. Filled from the registers by the first start (db/upgrade).
create table ties (
  value text not null,
  identity_id text not null,
  primary key (value, identity_id)
);
create index ties_identity on ties (identity_id);

-- Contacts whose user lost the address to somebody else: kept with their history, not listed, not mailed.
create table parked_contacts (
  id text primary key,
  email text not null,
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

-- Changes of mind about mail, of an address or a person, under a keyed hash: they outlive contact, account and erasure.
create table consents (
  subject text primary key,
  changes text not null
);

-- Who paid: finds an identity, ties nobody.
create table payments (
  value text primary key,
  identity_id text not null,
  created_at bigint not null
);
create index payments_identity on payments (identity_id);
create index payments_created on payments (created_at);

-- Contacts that became one with another.
create table merged_contacts (
  from_id text primary key,
  to_id text not null,
  created_at bigint not null
);
create index merged_contacts_to on merged_contacts (to_id);
