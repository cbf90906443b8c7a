-- Whom no mail may reach, whoever they are to us; removals are counted for Loops' quota.
create table suppressions (
  email text primary key,
  reason text not null,
  created_at bigint not null
);
create table suppression_removals (
  id text primary key,
  created_at bigint not null
);
create index suppression_removals_created on suppression_removals (created_at);

-- Idempotency keys of the last 24 hours, hashed with what they were used for.
create table idempotency_keys (
  hash text primary key,
  scope text not null,
  created_at bigint not null
);
create index idempotency_keys_created on idempotency_keys (created_at);
