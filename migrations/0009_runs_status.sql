-- With the status first, SQLite took this index for the question which runs are due, and went through all that sleep. With the
-- workflow first, PostgreSQL takes it on an empty table for the question who entered a workflow. The condition, true of every row,
-- keeps it to queries that state it.
drop index runs_status;
create index runs_status on runs (workflow_id, status, id) where status <> '';
