import { readdirSync, readFileSync } from 'node:fs';
import { sql } from 'kysely';
import { type Database, type Db, onOneConnection } from './connection.ts';
import { inTransaction } from './transactions.ts';

/** Beside the sources; built code lies one folder deeper. */
const MIGRATIONS = new URL(
  import.meta.url.endsWith('.ts') ? '../../../migrations/' : '../../../../migrations/',
  import.meta.url,
);

/** The numbers and texts of all migrations that ship with the program, in order. */
function shippedMigrations(): { version: number; name: string; text: string }[] {
  return readdirSync(MIGRATIONS)
    .filter((name) => /^\d{4}_.*\.sql$/.test(name))
    .sort()
    .map((name) => ({
      version: Number(name.slice(0, 4)),
      name,
      text: readFileSync(new URL(name, MIGRATIONS), 'utf8'),
    }));
}

/** The names of the migrations that this database does not have yet. */
export async function missingMigrations(db: Db): Promise<string[]> {
  const { rows } = await sql<{ version: number }>`select version from migration`.execute(db);
  const applied = new Set(rows.map(({ version }) => version));
  return shippedMigrations().flatMap(({ version, name }) => (applied.has(version) ? [] : [name]));
}

/** Brings the database up to date, one migration a transaction; several at once wait for each other. Returns what was applied. */
export async function migrate(database: Database): Promise<string[]> {
  return onOneConnection(database, async (db, client) => {
    await client
      .query(
        'create table if not exists migration (version integer primary key, name text not null, applied_at timestamptz not null default now())',
      )
      .catch((error: { code?: string }) => {
        // Two at the same moment: one of them made it.
        if (error.code !== '23505' && error.code !== '42P07') throw error;
      });
    const applied: string[] = [];
    for (const migration of shippedMigrations()) {
      await inTransaction(db, async () => {
        await sql`select pg_advisory_xact_lock(7355608)`.execute(db);
        const known = await sql`select from migration where version = ${migration.version}`.execute(db);
        if (known.rows.length > 0) return;
        await client.query(migration.text);
        await client.query('insert into migration (version, name) values ($1, $2)', [
          migration.version,
          migration.name,
        ]);
        applied.push(migration.name);
      });
    }
    return applied;
  });
}
