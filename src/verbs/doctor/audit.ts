import type { Db } from '../../adapters/postgres/connection.ts';
import { verifyAudit } from '../../views/audit/audit.ts';
import { type Checked, ok, problem } from './check.ts';
import { hasTable } from './reports.ts';

const DAY_MS = 86_400_000;

/** The audit trail of the last day: "settlestream audit --verify" checks all of it. */
export async function checkAudit(db: Db): Promise<readonly Checked[]> {
  // What is missing then, migrations tell.
  if (!(await hasTable(db, 'audit_event'))) return [];
  const { events, broken } = await verifyAudit(db, { since: new Date(Date.now() - DAY_MS) });
  if (broken === null) return [ok('audit', `${events} events of the last day fit`)];
  return [
    problem(
      'audit',
      `the audit trail was changed: ${broken}`,
      'Find out who can write to the database, and compare it with a backup. Details: settlestream audit --verify',
    ),
  ];
}
