-- Runs by status are only ever asked for within one workflow. With the status first, SQLite took this index for the question
-- which runs are due, and went through all that sleep.
drop index runs_status;
create index runs_status on runs (workflow_id, status, id);
