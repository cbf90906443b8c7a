-- What a key or a session may do is called "all" or "read", as the API's contract says.
alter table keys rename column scope to former_scope;
alter table keys add column scope text not null default 'all';
update keys set scope = 'read' where former_scope = 'read';
alter table keys drop column former_scope;
update sessions set scope = 'all' where scope = 'full';

-- Jobs of one kind, newest first.
create index jobs_kind on jobs (kind, id);
