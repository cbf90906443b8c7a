-- Raised with each lease and never back: who holds an older one changes nothing. Attempts may be given back.
alter table deliveries add column fence integer not null default 0;
alter table runs add column fence integer not null default 0;
alter table jobs add column fence integer not null default 0;
create index jobs_status on jobs (status, id) where status <> 'done';
