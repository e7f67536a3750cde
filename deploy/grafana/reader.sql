-- The role with which Grafana reads the book: it sees the views of schema dashboard and nothing else, and cannot write.
--
-- Run it after "settlestream migrate", as the book's owner if that may make roles, else as a superuser; again changes nothing:
--     psql "$DATABASE_URL" -f deploy/grafana/reader.sql
-- Then give the role a password, which stands nowhere but where Grafana gets it from (BOOK_READER_PASSWORD):
--     psql "$DATABASE_URL" -c '\password settlestream_reader'

do $$
begin
  if not exists (select from pg_roles where rolname = 'settlestream_reader') then
    create role settlestream_reader login noinherit connection limit 10;
  end if;
  execute format('grant connect on database %I to settlestream_reader', current_database());
  -- Views that later versions add are made by the owner, whoever runs this.
  execute format('alter default privileges for role %s in schema dashboard grant select on tables to settlestream_reader',
                 (select nspowner::regrole from pg_namespace where nspname = 'dashboard'));
end $$;

-- What the grants leave no room for is refused here once more; and a dashboard must not keep the database busy.
alter role settlestream_reader set default_transaction_read_only = on;
alter role settlestream_reader set statement_timeout = '15s';
alter role settlestream_reader set idle_in_transaction_session_timeout = '15s';
alter role settlestream_reader set search_path = dashboard;

-- The views read their tables with the rights of their owner.
grant usage on schema dashboard to settlestream_reader;
grant select on all tables in schema dashboard to settlestream_reader;
