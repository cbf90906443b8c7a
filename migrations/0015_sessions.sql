-- Who is signed in on the page, and links that sign in once. Only hashes of what is shown are kept.
create table sessions (
  id text primary key,
  hash text not null unique,
  state text not null,
  key_hash text,
  scope text not null,
  created_at bigint not null,
  last_seen_at bigint,
  expires_at bigint not null
);
create index sessions_expires on sessions (expires_at);

-- What a key may do: everything, or read.
alter table keys add column scope text not null default 'full';
