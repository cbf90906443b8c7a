-- Which runs a stop ends is told by a counter, not by the times in their ids: clocks go back, and those of instances differ.
alter table workflows add column stopped_epoch integer not null default 0;
update workflows set stopped_epoch = epoch;
alter table runs add column epoch integer not null default 0;
update runs set epoch = coalesce((select case when state = 'stopped' then epoch - 1 else epoch end from workflows where workflows.id = runs.workflow_id), 0)
  where ended_at is null;
