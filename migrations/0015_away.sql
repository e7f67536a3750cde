-- What cannot be reached right now: nothing is tried there before its time, and whatever needs it waits.
create table away (
  -- 'archive', or 'source ' and its name.
  what        text collate "C" primary key,
  reason      text not null,
  since       timestamptz not null default now(),
  failed_at   timestamptz not null default now(),
  -- Tries in vain, from which the pause before the next one comes.
  tries       integer not null default 1,
  next_try_at timestamptz not null,
  -- Of the archive: so much room is needed; and whether a look at it says that it is away, so that another look can say that it is back.
  needs_bytes bigint,
  is_seen     boolean not null default false,
  -- The batches that wait for it were asked for a run, which says so.
  is_told     boolean not null default false
);

-- When it was to be read, the file was not there any more, or was another one. If its source lists it again as it was found, it is read.
alter table delivery add column vanished_at timestamptz;
create index delivery_vanished on delivery (no) where vanished_at is not null;
update delivery set vanished_at = now()
 where state = 'refused' and error_code = 'unreadable' and archived is null
   and (error_message like '% is not there any more: %' or error_message like '% changed while it was read: %');

-- Why a file that is not done cannot be gone on with now: what it needs is away. Null: it can, or it is done, or was given up.
create function away_reason(d delivery) returns text stable language sql as $$
  select a.reason from away a
   where (d.state in ('found', 'reading') or d.state = 'dry' and d.error_code is null) and d.parked_reason is null
     and (a.what = 'archive'
          or a.what = 'source ' || d.source and d.archived is null
             and not exists (select from load l where l.delivery_no = d.no and l.state in ('reading', 'loaded') and l.chunks is not null))
   order by a.what limit 1
$$;

-- A few of those that wait for what may be tried again now: whoever comes first tries for all.
create view away_probe as
select d.no from delivery d
 where exists (select from away where next_try_at <= now())
   and d.state in ('found', 'reading', 'dry') and d.parked_reason is null and away_reason(d) is not null
   and not exists (select from away a where a.next_try_at > now() and a.what in ('archive', 'source ' || d.source))
 order by d.no limit 4;
