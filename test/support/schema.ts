import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Kysely } from 'kysely';
import { type PostgresDB, PostgresDialect, RawExpressionNode, serializeFromMetadata } from 'kysely-codegen';
import { openDatabase } from '../../src/adapters/postgres/connection.ts';
import { startPostgres, templateCopy } from './postgres.ts';

/** Where the types of all tables and views stand. `npm run schema` writes them; a test fails when the migrations say something else. */
export const SCHEMA_FILE = join(import.meta.dirname, '../../src/adapters/postgres/schema.ts');

/** What the catalog does not say of a column: which texts it holds, and what its JSON is. */
const HOLDS: Readonly<Record<string, string>> = {
  'away.what': `'archive' | \`source \${string}\``,
  'bank_change.why': "'run' | 'statement' | 'setting' | 'person' | 'time'",
  'bank_entry.status': 'EntryStatus',
  'bank_file.format': 'StatementFormat',
  'bank_file.state': "'found' | 'read' | 'refused' | 'withdrawn'",
  'bank_setting.accounts': 'AccountOwner[]',
  'bank_setting.calendars': 'BankCalendars',
  'bank_setting.formats': 'CsvStatementFormat[]',
  'bank_statement.currency': 'Currency',
  'bank_statement.state': "'counts' | 'duplicate' | 'replaced' | 'refused'",
  'batch.currency': 'Currency',
  'checked_day.duty': "'transactionDetails' | 'settlement'",
  'chunk.facts': 'Facts',
  'chunk.state': "'recorded' | 'loaded'",
  'delivery.rules': 'Rules',
  'delivery.state':
    "'found' | 'reading' | 'closed' | 'refused' | 'duplicate' | 'waiting' | 'withdrawn' | 'dry' | 'over'",
  'discrepancy.kind': 'Kind',
  'dropped.what': "'rows' | 'text' | 'file'",
  'format.format': 'Format',
  'handling.action': 'HandlingStep',
  'handling.reason': 'AcceptReason',
  'handling.state': 'HandlingState',
  'intervention.kind': "'replay' | 'withdrawal' | 'bankMatch' | 'bankUnmatch'",
  'load.facts': 'Facts',
  'load.rules': 'Rules',
  'load.settlement_currency': 'Currency',
  'load.state': "'reading' | 'loaded' | 'closed' | 'abandoned' | 'deleted'",
  'payout.matched_by': 'MatchedBy',
  'payout.state': 'PayoutState',
  'payout_entry.role': "'paid' | 'surplus' | 'returned'",
  'report.kind': 'ReportKind',
  'row_finding.kind': 'Kind',
  'run.coverage': 'RunCoverage',
  'run.facts': 'RunFacts',
  'run_allocation.total': 'CumulativeTotal',
  'run_cause.cause': "'report' | 'replay' | 'withdrawal' | 'records' | 'calendar' | 'batch'",
};

const IMPORTS = `import type { ColumnType } from 'kysely';
import type { CsvStatementFormat } from '../../domain/bank/csv-format.ts';
import type { MatchedBy } from '../../domain/bank/match-payouts.ts';
import type { PayoutState } from '../../domain/bank/payouts.ts';
import type { AccountOwner, BankCalendars } from '../../domain/bank/settings.ts';
import type { EntryStatus, StatementFormat } from '../../domain/bank/statement.ts';
import type { Kind } from '../../domain/discrepancy.ts';
import type { Format, ReportKind } from '../../domain/formats/format.ts';
import type { AcceptReason, HandlingState, HandlingStep } from '../../domain/handling.ts';
import type { RunCoverage } from '../../domain/matching/coverage.ts';
import type { CumulativeTotal } from '../../domain/matching/cumulative.ts';
import type { RunFacts } from '../../domain/matching/run.ts';
import type { Currency } from '../../domain/money/currency.ts';
import type { Facts } from '../../domain/report/facts.ts';
import type { Rules } from '../../domain/report/rules.ts';
`;

/** Tables are called so: beside the types of the domain there would be two of a name. */
const named = (text: string): string =>
  text
    .replace(/^import .*\n/, IMPORTS)
    .replace(/^export interface (\w+)/gm, 'export interface $1Table')
    .replace('interface DBTable', 'interface Schema')
    .replace(/(?<=interface Schema \{[^}]*: \w+)(?=;)/g, 'Table');

/** The types of the tables and views of a migrated database, as connection.ts reads them: int8 as bigint, dates as text. */
export async function schemaOf(url: string): Promise<string> {
  const dialect = new PostgresDialect({ dateParser: 'string' });
  const database = await openDatabase(url, 1);
  try {
    // The queue's own schema and the views for others are no part of it; of report_row the partitions are not.
    const catalog = database.db as unknown as Kysely<PostgresDB>;
    const metadata = await dialect.introspector.introspect({ db: catalog, includePattern: 'public.*' });
    const columns = Object.fromEntries(
      metadata.tables.flatMap(({ name: table, columns }) =>
        columns.flatMap(({ name, hasDefaultValue }) => {
          const holds = HOLDS[`${table}.${name}`];
          if (holds === undefined) return [];
          return [[`${table}.${name}`, new RawExpressionNode(hasDefaultValue ? `Generated<${holds}>` : holds)]];
        }),
      ),
    );
    const text = serializeFromMetadata({
      metadata,
      dialect,
      overrides: { columns },
      typeMapping: { int8: 'bigint' },
      skipAutogeneratedFileComment: true,
    });
    return `// Made by \`npm run schema\` from the migrations.\n\n${named(text)}`;
  } finally {
    await database.close();
  }
}

if (import.meta.main) {
  const server = await startPostgres();
  try {
    writeFileSync(SCHEMA_FILE, await schemaOf(await templateCopy(server.url)));
  } finally {
    await server.close();
  }
}
