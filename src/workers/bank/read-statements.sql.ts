import { sql } from 'kysely';
import { columns, type RowOf } from '../../adapters/postgres/columns.ts';
import type { Db } from '../../adapters/postgres/connection.ts';
import type { StatementFormat } from '../../domain/bank/statement.ts';

const FILE = columns('bank_file as f', [
  'no',
  'epoch',
  'source',
  'path',
  'entry',
  'file',
  'size_bytes',
  'archived',
  'sha256',
]);
export type ClaimedFile = RowOf<typeof FILE> & { modifiedAtMicros: bigint };

/** Claims a file of statements: what an older attempt has read is not written any more. Null: there is nothing to do. */
export async function claimFile(db: Db, fileNo: number): Promise<ClaimedFile | null> {
  const taken = await sql<ClaimedFile>`
    update bank_file f set epoch = f.epoch + 1 where f.no = ${fileNo} and f.state = 'found' and f.parked_reason is null
    returning ${FILE}, (extract(epoch from f.modified_at) * 1000000)::bigint as "modifiedAtMicros"`.execute(db);
  return taken.rows[0] ?? null;
}

/** Removes what was read of it before. */
export async function clearFile(db: Db, fileNo: number): Promise<void> {
  await db.deleteFrom('bank_entry').where('file_no', '=', fileNo).execute();
  await db.deleteFrom('bank_statement').where('file_no', '=', fileNo).execute();
}

const ENTRY_COLUMNS = [
  'file_no',
  'ordinal',
  'statement',
  'line',
  'entry_key',
  'status',
  'is_reversal',
  'booking_date',
  'value_date',
  'amount_minor',
  'charges_minor',
  'reference',
  'texts',
  'counterparty_name',
  'counterparty_account',
] as const;
export const ENTRY_WIDTH = ENTRY_COLUMNS.length;
export const COPY_ENTRIES = `copy bank_entry (${ENTRY_COLUMNS.join(', ')}) from stdin (format binary)`;

/** A statement as it is stored; amounts are whole numbers as text. */
export type StatementRow = {
  readonly ordinal: number;
  readonly line: number;
  readonly is_final: boolean;
  readonly account: string | null;
  readonly currency: string | null;
  readonly number: string | null;
  readonly from_day: string | null;
  readonly to_day: string | null;
  readonly opening_minor: string | null;
  readonly closing_minor: string | null;
  readonly entry_count: number;
  readonly booked_minor: string;
  readonly refused_count: number;
  readonly refused_line: number | null;
  readonly refused_why: string | null;
  readonly digest: string | null;
  readonly error_code: string | null;
  readonly error_message: string | null;
};

const STATEMENT_TYPES: Readonly<Record<keyof StatementRow, string>> = {
  ordinal: 'integer',
  line: 'integer',
  is_final: 'boolean',
  account: 'text',
  currency: 'text',
  number: 'text',
  from_day: 'date',
  to_day: 'date',
  opening_minor: 'bigint',
  closing_minor: 'bigint',
  entry_count: 'integer',
  booked_minor: 'numeric',
  refused_count: 'integer',
  refused_line: 'integer',
  refused_why: 'text',
  digest: 'text',
  error_code: 'text',
  error_message: 'text',
};

export async function insertStatements(db: Db, fileNo: number, rows: readonly StatementRow[]): Promise<void> {
  const names = sql.raw(Object.keys(STATEMENT_TYPES).join(', '));
  const typed = sql.raw(
    Object.entries(STATEMENT_TYPES)
      .map(([name, type]) => `${name} ${type}`)
      .join(', '),
  );
  await sql`insert into bank_statement (file_no, ${names}, state)
    select ${fileNo}::int, ${names}, case when error_code is null then 'counts' else 'refused' end
      from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as s(${typed})`.execute(db);
}

/** Entries of statements that cannot be used count nowhere; marks of reversal turn the sign where the balances say so. */
export async function settleEntries(
  db: Db,
  fileNo: number,
  { refused, turned }: { readonly refused: readonly number[]; readonly turned: readonly number[] },
): Promise<void> {
  if (refused.length > 0)
    await sql`delete from bank_entry where file_no = ${fileNo} and statement = any(${[...refused]}::int[])`.execute(db);
  if (turned.length > 0)
    await sql`update bank_entry set amount_minor = -amount_minor
               where file_no = ${fileNo} and statement = any(${[...turned]}::int[]) and is_reversal`.execute(db);
}

export type FileEnd = {
  readonly state: 'read' | 'refused';
  readonly format: StatementFormat | null;
  readonly code: string | null;
  readonly message: string | null;
  readonly archived: string | null;
  readonly sha256: string | null;
};

/** Ends the reading of a file. False: another attempt has claimed it. */
export async function endFile(db: Db, { no, epoch }: ClaimedFile, end: FileEnd): Promise<boolean> {
  const ended = await db
    .updateTable('bank_file')
    .set({
      state: end.state,
      format: end.format,
      error_code: end.code,
      error_message: end.message,
      archived: end.archived,
      sha256: end.sha256,
      read_at: sql<Date>`now()`,
      attempts: 0,
      next_attempt_at: null,
    })
    .where('no', '=', no)
    .where('epoch', '=', epoch)
    .where('state', '=', 'found')
    .executeTakeFirst();
  return ended.numUpdatedRows === 1n;
}

/** A file that is not there any more, before anything of it was read. */
export const forgetFile = (db: Db, { no, epoch }: ClaimedFile) =>
  db
    .deleteFrom('bank_file')
    .where('no', '=', no)
    .where('epoch', '=', epoch)
    .where('state', '=', 'found')
    .where('archived', 'is', null)
    .execute();
