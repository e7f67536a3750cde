-- Closed only because it goes on: the same run tells it with other amounts, on another line or in another content of its report.
alter table discrepancy add column goes_on boolean not null default false;
