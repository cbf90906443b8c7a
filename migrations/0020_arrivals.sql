-- Which types of events come in at an endpoint, how often, and the last of each: written every few seconds beside the statistics.
create table arrivals (
  endpoint_id text not null,
  type text not null,
  outcome text not null,
  amount integer not null,
  last_at bigint not null,
  last_id text not null,
  message text not null,
  primary key (endpoint_id, type, outcome)
);
