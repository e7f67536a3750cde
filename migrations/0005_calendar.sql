-- What time alone changes: until when something may still come, and for which days it was looked whether everything did.

alter table batch add column waiting_until timestamptz;
create index batch_waiting on batch (waiting_until) where waiting_until is not null;

-- The last day of each source that was checked when it became due. What stayed open is looked after by the discrepancies.
create table checked_day (
  source       text collate "C" not null,
  merchant_no  integer not null references merchant,
  -- transactionDetails: that the day's report has come; settlement: that what was sold on it is settled.
  duty         text collate "C" not null,
  day          date not null,
  primary key (source, merchant_no, duty)
);
