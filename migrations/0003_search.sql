-- Each filter of contacts is answered by an index in the order of ids, names by their beginning in lower case.
create index contacts_source on contacts (source, id);
create index contacts_group on contacts (user_group, id);
create index contacts_subscribed on contacts (subscribed, id);
create index contacts_first_name on contacts (lower(first_name), id) where first_name is not null;
create index contacts_last_name on contacts (lower(last_name), id) where last_name is not null;
