-- What happened to contacts by the API, an import, a link or a back-fill: deliveries tell of the rest.
create table contact_changes (
  id text primary key,
  contact_id text not null,
  kind text not null,
  detail text not null,
  created_at bigint not null
);
create index contact_changes_contact on contact_changes (contact_id, id);
create index contact_changes_created on contact_changes (created_at);

-- Who was behind a contact that was removed, so that its id goes on finding them.
create table former_contacts (
  contact_id text not null,
  identity_id text not null,
  primary key (contact_id, identity_id)
);
create index former_contacts_identity on former_contacts (identity_id);

-- Also of people without a contact.
alter table erasures rename column contact_id to id;
