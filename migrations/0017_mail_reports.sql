-- When the mail provider, or the mail server at once, first said so of this mail. Once for each: what is said again counts no more.
alter table mails add column hard_bounced_at bigint;
alter table mails add column soft_bounced_at bigint;
alter table mails add column complained_at bigint;
