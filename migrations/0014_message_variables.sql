-- The variables that a message's templates read, found when it is saved. Null: saved by a release that did not keep them.
alter table email_messages add column variables text;
