-- Reports that are read again or taken out, and why each run came about.

-- What a person asked for: a replay, or a withdrawal.
create table intervention (
  no        integer generated always as identity primary key,
  kind      text collate "C" not null,
  -- Which reports, in words; of a withdrawal, the reason.
  asked     text not null,
  asked_at  timestamptz not null default now()
);

-- Beside the states of before: withdrawn; dry: read for a dry run, counts nowhere; over: of a dry run that has ended, to be removed.
alter table delivery
  add column intervention_no  integer references intervention,
  -- The delivery whose bytes are read again.
  add column replay_of        integer references delivery,
  -- Where its bytes are in the archive (of a zip, those of the report in it), where no load of its own says it.
  add column archived         text,
  add column archived_sha256  text,
  -- The load of another report that holds the same bytes for the same part.
  add column duplicate_of     integer,
  add column withdrawn_at     timestamptz,
  add column withdrawn_reason text;
create index delivery_dry on delivery (no) where state in ('dry', 'over');
create index delivery_intervention on delivery (intervention_no) where intervention_no is not null;
create index delivery_duplicate_of on delivery (duplicate_of) where duplicate_of is not null;

create index load_delivery on load (delivery_no);
create index load_sha256 on load (sha256);

-- Nothing of the batch is left: from this run on it has no result.
alter table run add column is_gone boolean not null default false;

-- Why a run was asked for, one row for each time that a batch's wanted grew. A run answers all of them up to its own number.
create table run_cause (
  batch_no        integer not null references batch,
  wanted          integer not null,
  -- report, replay, withdrawal, records, calendar (time went by), or batch: another batch was published.
  cause           text collate "C" not null,
  by_batch_no     integer,
  -- The intervention that set it off, through other batches too.
  intervention_no integer
);
create index run_cause_batch on run_cause (batch_no, wanted);
create index run_cause_intervention on run_cause (intervention_no) where intervention_no is not null;

-- What was open at a time is looked for among what was closed, too.
create index discrepancy_closed_batch on discrepancy (batch_no) where closed_run is not null;

-- The only way to ask for runs, so that none comes about without its cause. News of the batch itself may mend what failed
-- before; that another batch has news gives one that was given up no new tries.
create function want_runs(batch_nos integer[], why text, by_batch integer default null, interventions integer[] default '{}')
returns void language sql as $$
  with asked as (
    update batch b set wanted = b.wanted + 1,
           attempts = case when why = 'batch' then b.attempts else 0 end,
           next_attempt_at = case when why = 'batch' then b.next_attempt_at end,
           parked_reason = case when why = 'batch' then b.parked_reason end
     where b.no = any(batch_nos) returning b.no, b.wanted)
  insert into run_cause (batch_no, wanted, cause, by_batch_no, intervention_no)
  select a.no, a.wanted, why, by_batch, i.no from asked a left join unnest(interventions) as i(no) on true
$$;

-- A report that holds the bytes of another one for the same part is a duplicate of it. When other bytes take the place of those,
-- it is read after all, from the archive.
create function release_duplicates(of_report integer, new_revision integer, new_sha256 text) returns void language sql as $$
  update delivery d set state = 'found', duplicate_of = null, archived = coalesce(l.original_path, l.archive_path), archived_sha256 = l.sha256
    from report r join load c on c.no = r.load_no join load l on l.report_no = r.no and l.sha256 = c.sha256
   where r.no = of_report and r.revision <= new_revision and c.sha256 is distinct from new_sha256
     and d.duplicate_of = l.no and d.state = 'duplicate'
     and not exists (select from delivery e where e.report_no = d.report_no and e.no > d.no and e.state not in ('dry', 'over'))
$$;
