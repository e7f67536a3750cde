import { sql } from 'kysely';
import type { Db } from '../../adapters/postgres/connection.ts';
import { whatIsAway } from '../../store/away.sql.ts';
import { type Checked, ok, problem } from './check.ts';

type Stuck = { file: string; reason: string; since: Date; count: number };

/** Reports that were refused or given up and that nothing newer took the place of, and batches that were given up. */
export async function checkReports(db: Db): Promise<readonly Checked[]> {
  // What is missing then, migrations tell.
  if (!(await hasTable(db, 'delivery'))) return [];
  const refused = await sql<Stuck>`
    with newest as (select distinct on (report_no) * from delivery order by report_no, no desc)
    select file, coalesce(error_message, parked_reason, '') as reason, found_at as since, count(*) over ()::int as count
      from newest where state = 'refused' order by no limit 1`.execute(db);
  const parked = await sql<Stuck>`
    select file, parked_reason as reason, found_at as since, count(*) over ()::int as count
      from delivery where parked_reason is not null and state in ('found', 'reading') order by no limit 1`.execute(db);
  const batches = await sql<{ name: string; reason: string; count: number }>`
    select coalesce(batch_id, day::text, '') as name, parked_reason as reason, count(*) over ()::int as count
      from batch where parked_reason is not null order by no limit 1`.execute(db);
  const away = (await hasTable(db, 'away')) ? await whatIsAway(db) : [];
  const found = [
    ...away.map(({ what, reason, since }) =>
      problem(
        'away',
        `the ${what} has been unavailable since ${since.toISOString()}: ${reason}`,
        'Restore it: waiting work then continues by itself.',
      ),
    ),
    ...refused.rows.map((row) => ofReports('refused reports', 'cannot be used', row)),
    ...parked.rows.map((row) => ofReports('parked reports', 'were parked after several tries', row)),
    ...batches.rows.map(({ name, reason, count }) =>
      problem(
        'parked batches',
        `${count} could not be reconciled, the first is ${name}: ${reason}`,
        `Fix the cause, then run: settlestream replay --refused. Details: settlestream show ${name}`,
      ),
    ),
  ];
  return found.length > 0 ? found : [ok('reports', 'none is refused or parked')];
}

export async function hasTable(db: Db, name: string): Promise<boolean> {
  const found = await sql<{ isMade: boolean }>`select to_regclass(${name}) is not null as "isMade"`.execute(db);
  return found.rows[0]!.isMade;
}

const ofReports = (name: string, what: string, { file, reason, since, count }: Stuck): Checked =>
  problem(
    name,
    `${count} ${what}, the oldest since ${since.toISOString().slice(0, 10)}: ${file}: ${reason}`,
    'Ask the provider for a corrected file; it is read automatically. Details: settlestream batches --state incomplete',
  );
