-- Reports in several layouts: what each was read as, whatever its source expects.

-- Formats of one's own, as they were when something was read by them: their id changes with their content.
create table format (
  id      text collate "C" primary key,
  format  jsonb not null
);
alter table load add column format text collate "C";
update load set format = rules->>'format';
alter table load alter column format set not null;

-- What the provider's portal hands out is the whole of a report; it is read only while no delivery in parts is whole.
alter table report add column is_portal boolean not null default false;
