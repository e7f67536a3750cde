#!/bin/sh
# For a new, empty server: the book's database, its owner, and the role with which Grafana looks into it. Postgres' image runs this by itself the first
# time it starts; by hand, as a superuser:
#
#     SECRETS=folder-with-both-passwords POSTGRES_USER=postgres PGHOST=… sh deploy/postgres/roles.sh
#
# The program needs the database to be its own, and nothing more: no superuser, no extension. It makes tables for large reports as
# it goes, and ends connections of its own role that a stopped worker left behind.
set -eu
secrets=${SECRETS:-/secrets}
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
  --set owner="$(cat "$secrets/database-password")" --set reader="$(cat "$secrets/book-reader-password")" <<'SQL'
create role settlestream login password :'owner';
create database settlestream owner settlestream;
revoke connect on database settlestream from public;
-- What it may see is said by deploy/grafana/reader.sql, once there is something to see.
create role settlestream_reader login noinherit connection limit 10 password :'reader';
grant connect on database settlestream to settlestream_reader;
SQL
