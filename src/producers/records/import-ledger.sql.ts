import { sql } from 'kysely';
import type { Db } from '../../adapters/postgres/connection.ts';
import { tryLockMerchants } from '../../adapters/postgres/locks.ts';
import { keepLateDays } from '../schedule/late-days.sql.ts';

/** One import at a time: which of two files is the later one must be clear. */
export const lockLedger = (db: Db) => sql`select pg_advisory_xact_lock(7355612)`.execute(db);

/** A place in this list, from 1, is what stands for a merchant in the staged rows. Null: it is nobody's. */
export type MerchantNos = readonly (number | null)[];

export type ImportedFile = {
  readonly sha256: Buffer;
  readonly recordCount: number;
  /** Whose records those are that name no merchant; null: each names one. */
  readonly unnamedMerchantNo: number | null;
};

/** The file of these bytes, if all that it says is in the table. */
export async function importedBefore(db: Db, sha256: Buffer): Promise<ImportedFile | null> {
  const found = await db
    .selectFrom('imported_file')
    .select(['sha256', 'record_count as recordCount', 'unnamed_merchant_no as unnamedMerchantNo'])
    .where('sha256', '=', sha256)
    .executeTakeFirst();
  return found ?? null;
}

/** To be called last: a change of a record forgets all files. */
export async function keepImportedFile(
  db: Db,
  { sha256, recordCount, unnamedMerchantNo }: ImportedFile,
): Promise<void> {
  const file = { record_count: recordCount, unnamed_merchant_no: unnamedMerchantNo };
  await db
    .insertInto('imported_file')
    .values({ sha256, ...file })
    .onConflict((known) => known.column('sha256').doUpdateSet(file))
    .execute();
}

/** The columns that are wide come last. */
export async function makeStagingTable(db: Db): Promise<void> {
  // One import at a time: enough for the keys of a million records, and what is more goes to disk.
  await sql`set local work_mem = '64MB'`.execute(db);
  await sql`create temp table staged (line int, merchant int, key_hash bigint, amount_minor bigint, occurred_at timestamptz,
    type text collate "C", request_id text collate "C", currency text collate "C", status text collate "C",
    original_request_id text collate "C", order_id text, source text) on commit drop`.execute(db);
}

export const COPY_STAGED = 'copy staged from stdin (format binary)';

/** Takes out what belongs to nobody. Returns the lines. */
export async function dropUnassigned(db: Db, nos: MerchantNos): Promise<number[]> {
  const nobodys = nos.flatMap((no, at) => (no === null ? [at + 1] : []));
  if (nobodys.length === 0) return [];
  const dropped = await sql<{ line: number }>`
    delete from staged where merchant = any(${nobodys}::int[]) returning line`.execute(db);
  return dropped.rows.map((row) => row.line).sort((a, b) => a - b);
}

/** The merchant of a staged row. The array is a constant: no join, and no update of every row. */
const merchantNo = (nos: MerchantNos) =>
  sql`(${sql.raw(`'{${nos.map((no) => no ?? 'null').join(',')}}'`)}::int[])[merchant]`;

const CONTENT = ['amount_minor', 'currency', 'status', 'occurred_at', 'original_request_id', 'order_id', 'source'];
const contentOf = (table: string) => sql.raw(`row(${CONTENT.map((column) => `${table}.${column}`).join(', ')})`);

/** Of a key that stands in the file several times the first counts. Returns the later lines that say something else. */
export async function dropContradictions(db: Db, nos: MerchantNos): Promise<number[]> {
  // In about half the time that the statement below takes: a file of very many keys is told apart only here.
  const repeated = await sql`select from staged group by key_hash having count(*) > 1 limit 1`.execute(db);
  if (repeated.rows.length === 0) return [];
  const dropped = await sql<{ line: number; differs: boolean }>`
    with twice as (
      select s.ctid as place, line, ${contentOf('s')} as content,
             first_value(${contentOf('s')}) over of_key as first_content, row_number() over of_key as nth
        from staged s where key_hash in (select key_hash from staged group by key_hash having count(*) > 1)
      window of_key as (partition by ${merchantNo(nos)}, type, request_id order by line))
    delete from staged s using twice t where s.ctid = t.place and t.nth > 1
    returning t.line, t.content is distinct from t.first_content as differs`.execute(db);
  return dropped.rows
    .filter((row) => row.differs)
    .map((row) => row.line)
    .sort((a, b) => a - b);
}

/**
 * Brings the book up to date with what is staged. `changed_record` is then what is new or says something else, where anything does.
 *
 * What is there already and says the same is only compared: a join, no write. Only imports write records, one at a time, so what the join
 * does not find can be inserted without asking for conflicts.
 */
export async function mergeStaged(db: Db, nos: MerchantNos): Promise<{ inserted: number; changed: number }> {
  const isFirst = !(await hasImported(db));
  // What is asked of it before runs and records are there takes all of it, and needs no plan.
  if (!isFirst || (await hasRuns(db))) await sql`analyze staged`.execute(db);
  const known = isFirst ? NONE_KNOWN : await findKnown(db, nos);
  const insert = (isInOrder: boolean) => insertNew(db, nos, { hasKnown: known.found > 0, isInOrder });
  const isMuch = isFirst || (await isMuchFor(db, known.left));
  const inserted = known.left === 0 ? 0 : isMuch ? await withoutIndexes(db, nos, insert) : await insert(true);
  if (known.changed > 0) await updateChanged(db);
  if (inserted + known.changed > 0) await showChanged(db, nos, known.found > 0);
  // A table that has just grown would else be planned for as it was before, until autovacuum comes by: minutes where seconds are enough.
  if (inserted + known.changed > WORTH_ANALYZING_ROWS) await sql`analyze record`.execute(db);
  return { inserted, changed: known.changed };
}

const WORTH_ANALYZING_ROWS = 1_000;

/** `left` are those that are not known. */
type Known = { readonly found: number; readonly changed: number; readonly left: number };
const NONE_KNOWN: Known = { found: 0, changed: 0, left: Number.POSITIVE_INFINITY };

/**
 * A row into three indexes at random places takes some 20 µs, and making them anew 3 µs for each row of the table: of as many rows again
 * as there are, half a million are in within 5 s and not 10.
 */
async function isMuchFor(db: Db, rows: number): Promise<boolean> {
  if (rows <= WORTH_ANALYZING_ROWS) return false;
  const { rows: found } = await sql<{ rows: number }>`
    select reltuples as rows from pg_class where oid = 'record'::regclass`.execute(db);
  return rows * 4 >= found[0]!.rows;
}

async function hasImported(db: Db): Promise<boolean> {
  const found = await sql`select from record limit 1`.execute(db);
  return found.rows.length > 0;
}

async function hasRuns(db: Db): Promise<boolean> {
  const found = await sql`select from batch where current_run is not null limit 1`.execute(db);
  return found.rows.length > 0;
}

/** The staged rows whose key is there, in table `known`, and whether they say something else. */
async function findKnown(db: Db, nos: MerchantNos): Promise<Known> {
  await sql`
    create temp table known on commit drop as
    select s.ctid as staged_place, r.ctid as record_place, ${contentOf('s')} is distinct from ${contentOf('r')} as is_changed
      from staged s join record r on r.key_hash = s.key_hash and r.merchant_no = ${merchantNo(nos)} and r.type = s.type and r.request_id = s.request_id`.execute(
    db,
  );
  await sql`analyze known`.execute(db);
  const counted = await sql<Known>`
    select count(*)::int as found, count(*) filter (where is_changed)::int as changed,
           (select count(*)::int from staged) - count(*)::int as left
      from known`.execute(db);
  return counted.rows[0]!;
}

/**
 * In the order of the index on the key, so that each page of it is looked up once. Where there is no index yet, in the order of the file,
 * which is mostly that of time: this spares a sort, and the index on the time finds its rows in order.
 */
async function insertNew(
  db: Db,
  nos: MerchantNos,
  { hasKnown, isInOrder }: { readonly hasKnown: boolean; readonly isInOrder: boolean },
): Promise<number> {
  const content = sql.raw(CONTENT.join(', '));
  const unknown = hasKnown ? sql`where not exists (select from known k where k.staged_place = s.ctid)` : sql``;
  const { numAffectedRows } = await sql`
    insert into record (merchant_no, type, request_id, ${content}, key_hash)
    select ${merchantNo(nos)}, type, request_id, ${content}, key_hash from staged s ${unknown} ${isInOrder ? sql`order by key_hash` : sql``}`.execute(
    db,
  );
  return Number(numAffectedRows);
}

/**
 * Indexes are made once all rows are there, which takes half the time. Whoever reads meanwhile waits; where somebody reads now, the rows
 * are inserted as ever.
 */
async function withoutIndexes<T>(db: Db, nos: MerchantNos, fill: (isInOrder: boolean) => Promise<T>): Promise<T> {
  if (!(await hasLocked(db, nos))) return fill(true);
  const { rows } = await sql<{ name: string; definition: string }>`
    select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as definition from pg_index
     where indrelid = 'record'::regclass and not indisreplident and not exists (select from pg_constraint where conindid = indexrelid)`.execute(
    db,
  );
  for (const { name } of rows) await sql`drop index ${sql.raw(name)}`.execute(db);
  const result = await fill(false);
  for (const { definition } of rows) await sql.raw(definition).execute(db);
  return result;
}

/**
 * Whether table `record` is ours alone until the end of the transaction. Whoever publishes for these merchants waits before it locks a batch
 * that wants a new run because of what is imported, not after.
 */
async function hasLocked(db: Db, nos: MerchantNos): Promise<boolean> {
  await sql`savepoint before_lock`.execute(db);
  try {
    if (await tryLockMerchants(db, [...new Set(nos.flatMap((no) => no ?? []))])) {
      await sql`lock table record in access exclusive mode nowait`.execute(db);
      return true;
    }
  } catch (error) {
    if ((error as { code?: unknown }).code !== LOCK_NOT_AVAILABLE) throw error;
  }
  await sql`rollback to savepoint before_lock`.execute(db);
  return false;
}

const LOCK_NOT_AVAILABLE = '55P03';

async function updateChanged(db: Db): Promise<void> {
  const content = sql.raw(CONTENT.join(', '));
  const said = sql.raw(CONTENT.map((column) => `s.${column}`).join(', '));
  await sql`
    update record r set (${content}) = row(${said}) from known k join staged s on s.ctid = k.staged_place
     where r.ctid = k.record_place and k.is_changed`.execute(db);
}

/**
 * Where all is new, `changed_record` is what was staged, seen through a view. Else it is mostly little, and a table with statistics of its own:
 * rows of reports must then be looked up by it, and not all of them read.
 */
async function showChanged(db: Db, nos: MerchantNos, hasKnown: boolean): Promise<void> {
  const columns = sql`${merchantNo(nos)} as merchant_no, request_id, original_request_id, key_hash, occurred_at`;
  if (!hasKnown) {
    await sql`create temp view changed_record as select ${columns}, true as is_new from staged`.execute(db);
    return;
  }
  await sql`create temp table changed_record on commit drop as
    select ${columns}, k.is_changed is null as is_new
      from staged s left join known k on k.staged_place = s.ctid where coalesce(k.is_changed, true)`.execute(db);
  await sql`analyze changed_record`.execute(db);
}

/** Wants a new run of every batch and day whose answer the changed records can change. The sweep asks for them. */
export async function wantRunsOfChanged(db: Db): Promise<void> {
  await keepLateDays(db, 'changed_record');
  await sql`
    select want_runs(array(select no from batch where (current_run is not null or batch_id is null) and no in (
       -- What is told of such a record, or of its absence.
       select d.batch_no from discrepancy d join batch b on b.no = d.batch_no
         join changed_record c on c.merchant_no = b.merchant_no and c.request_id = d.request_id where d.closed_run is null
       union
       select d.batch_no from discrepancy d join batch b on b.no = d.batch_no
         join changed_record c on c.merchant_no = b.merchant_no and c.request_id = d.reported
        where d.closed_run is null and d.kind in ('orphan_row', 'original_mismatch')
       union
       select d.batch_no from discrepancy d join batch b on b.no = d.batch_no
         join changed_record c on c.merchant_no = b.merchant_no and c.original_request_id = d.request_id where d.closed_run is null
       union
       -- The days on which such a record may fall, whatever the time zone.
       select b.no from batch b
         join (select distinct merchant_no, occurred_at::date as day from changed_record) c
           on c.merchant_no = b.merchant_no and b.day between c.day - 1 and c.day + 1
        where b.batch_id is null
       union
       -- Rows that were compared with what it said before, and those that count towards a sum which is compared with it.
       select b.no from changed_record c join report_row d on d.key_hash = c.key_hash
         join run_load l on l.load_no = d.load_no join batch b on b.current_run = l.run_no and b.merchant_no = c.merchant_no
        where not c.is_new
       union
       select b.no from changed_record c
         join run_allocation f on f.key_hash = hashtextextended(c.request_id, 0) and f.merchant_no = c.merchant_no and f.request_id = c.request_id
         join batch b on b.current_run = f.run_no)), 'records')`.execute(db);
}

/** Whether there is any record at all to compare with. */
export async function hasRecords(db: Db): Promise<boolean> {
  const found = await sql`select from ledger() limit 1`.execute(db);
  return found.rows.length > 0;
}
