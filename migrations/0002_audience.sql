create table suppressions (
  email text primary key,
  reason text not null,
  created_at bigint not null
);
