import { readdirSync, readFileSync } from 'node:fs';
import { sql } from 'kysely';
import { UsageError } from '../../domain/errors.ts';
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
  const rows = await db.selectFrom('migration').select('name').execute();
  const applied = new Set(rows.map(({ name }) => name));
  return shippedMigrations().flatMap(({ name }) => (applied.has(name) ? [] : [name]));
}

/**
 * Brings the database up to date, one migration a transaction; several at once wait for each other. Returns what was applied.
 * @throws UsageError when the database was made by a state of the program before its first version, and changes nothing there.
 */
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
        const ofVersion = db.selectFrom('migration').select('name').where('version', '=', migration.version);
        const known = await ofVersion.executeTakeFirst();
        if (known) return refuseOther(migration.name, known.name);
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

/** Nothing was released while there were other migrations, so no program has to know how to go on from them. */
function refuseOther(shipped: string, applied: string): void {
  if (applied === shipped) return;
  throw new UsageError(
    `The database has the migration ${applied} where this program has ${shipped}: it was made by a state of settlestream before its ` +
      'first version. Nothing was released then, so there is no way to bring it up to date, and nothing in it was changed. Name a new ' +
      'database in DATABASE_URL, or another folder with --data-dir, import the records and reconcile the reports again.',
  );
}
