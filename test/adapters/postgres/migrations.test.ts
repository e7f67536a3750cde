import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { openDatabase } from '../../../src/adapters/postgres/connection.ts';
import { migrate, missingMigrations } from '../../../src/adapters/postgres/migrations.ts';
import { UsageError } from '../../../src/domain/errors.ts';
import { freshDatabase } from '../../support/postgres.ts';

async function open() {
  const database = await openDatabase(await freshDatabase(), 1);
  after(() => database.close());
  return database;
}

test('a database that is up to date stays as it is', async () => {
  const database = await open();
  assert.deepEqual(await migrate(database), []);
  assert.deepEqual(await missingMigrations(database.db), []);
});

test('a database of a newer version is used as it is', async () => {
  const database = await open();
  await database.pool.query(`insert into migration (version, name) values (9999, '9999_of_tomorrow.sql')`);
  assert.deepEqual(await migrate(database), []);
  assert.deepEqual(await missingMigrations(database.db), []);
});

for (const left of [14, 3, 1])
  test(`a database of before the first version, with ${left} of its migrations, is refused, and not touched`, async () => {
    const database = await open();
    await database.pool.query(
      'drop schema dashboard cascade; drop schema if exists bullmq cascade; drop schema public cascade; create schema public',
    );
    await database.pool.query(
      'create table migration (version integer primary key, name text not null, applied_at timestamptz not null default now())',
    );
    await database.pool.query(
      `insert into migration (version, name) select v, to_char(v, 'FM0000') || '_book.sql' from generate_series(1, $1::int) v`,
      [left],
    );
    await assert.rejects(
      () => migrate(database),
      (error) =>
        error instanceof UsageError &&
        /0001_book\.sql.*Nothing was released.*new database in DATABASE_URL/.test(error.message),
    );
    assert.deepEqual(await missingMigrations(database.db), ['0001_schema.sql']);
    const { rows } = await database.pool.query(
      `select count(*)::int as tables from pg_tables where schemaname not in ('pg_catalog', 'information_schema')`,
    );
    assert.equal(rows[0].tables, 1);
  });
