-- The variables that a message's templates read, found when it is saved. Null: saved by a release that did not keep them.
alter table email_messages add column variables text;

-- Events beside the trigger that a workflow listens to: those that end a run wherever it is, and the names of all of them.
alter table workflows add column exit_on text not null default '[]';
alter table workflows add column listens text not null default '[]';
