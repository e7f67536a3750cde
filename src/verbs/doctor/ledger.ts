import { type RawBuilder, sql } from 'kysely';
import type { Db } from '../../adapters/postgres/connection.ts';
import { inTransaction } from '../../adapters/postgres/transactions.ts';
import type { Config } from '../../config/config.ts';
import { UsageError } from '../../domain/errors.ts';
import { indexed } from '../../store/ledger/functions.ts';
import { type Ledger, ledgerInUse, ledgerOf } from '../../store/ledger/ledger.ts';
import type { Field } from '../../store/ledger/relation.ts';
import { refusedRecords, refusedText } from '../../views/ledger/refused-records.ts';
import { type Checked, ok, problem, warning } from './check.ts';

const NAME = 'records';
const LIMIT_MS = 4_000;
/** A table smaller than that is read as a whole faster than looked up in. */
const SMALL_ROWS = 10_000;

/** Where the merchant's records stand: that they can be read, found by key and by time, and used. */
export async function checkLedger(db: Db, config: Config): Promise<readonly Checked[]> {
  const made = await sql<{ isMade: boolean }>`select to_regclass('ledger_setting') is not null as "isMade"`.execute(db);
  // What is missing then, migrations tell.
  if (!made.rows[0]!.isMade) return [];
  if (!config.ledger) return checkInUse(db);
  let ledger: Ledger;
  try {
    ledger = await ledgerOf(db, config.ledger);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return error.message
      .split('\n')
      .map((line) => ({ ...problem(NAME, line, 'Correct it and run this again.'), isUsage: true }));
  }
  if (!ledger.relation) return checkInUse(db);
  const { described, functions } = ledger;
  const from = sql`(${sql.raw(functions.records)}) r(merchant_no, type, request_id, amount_minor, currency, status, occurred_at,
    original_request_id, order_id, source, updated_at, key_hash, key, original_key, raw_occurred_at, raw_updated_at)`;
  return [
    await checkContent(db, described, from),
    ...(await checkPlans(db, ledger, from)),
    ...(await checkRefused(
      db,
      sql`(${sql.raw(functions.refused)}) r(request_id, field, code, value, occurred_at, key_hash, key, raw_occurred_at)`,
    )),
    ...(await checkTwins(db, from)),
  ];
}

/** What the book reads, where the settings say nothing of it. */
async function checkInUse(db: Db): Promise<readonly Checked[]> {
  const { described, isImported } = await ledgerInUse(db);
  const content = await checkContent(db, described, sql`ledger() r`);
  return isImported ? [content] : [content, ...(await checkRefused(db, sql`ledger_refused()`))];
}

/** How many records there are, and how old the newest is. */
async function checkContent(db: Db, described: string, from: RawBuilder<unknown>): Promise<Checked> {
  const found = await inTime(db, () =>
    sql<{
      count: bigint;
      newest: Date | null;
    }>`select count(*) as count, max(occurred_at) as newest from ${from}`.execute(db),
  );
  if (!found) return ok(NAME, `${described}: more than can be counted in ${LIMIT_MS / 1_000} s`);
  const { count, newest } = found.rows[0]!;
  const some = await sql`select from batch limit 1`.execute(db);
  if (newest === null && some.rows.length === 0) return ok(NAME, `${described}: none yet, and no reports either`);
  if (newest === null)
    return warning(
      NAME,
      `${described}: no usable record of a merchant whose reports are here`,
      'Import some (settlestream ledger import FILE), or check ledger.relation, ledger.where and which ids stand in merchantId.',
    );
  return ok(
    NAME,
    `${described}: ${count}, the newest of ${newest.toISOString().slice(0, 16).replace('T', ' ')}, ${ageOf(newest)} old`,
  );
}

function ageOf(time: Date): string {
  const hours = Math.max(0, Math.floor((Date.now() - time.getTime()) / 3_600_000));
  return hours < 48 ? `${hours} h` : `${Math.floor(hours / 24)} days`;
}

/** What is looked up by what, as the program does it. */
async function checkPlans(db: Db, ledger: Ledger, from: RawBuilder<unknown>): Promise<readonly Checked[]> {
  const { functions } = ledger;
  const { columns, shown } = ledger.relation!;
  const day = [`timestamptz '2026-01-01Z'`, `timestamptz '2026-01-02Z'`] as const;
  const keys = sql`(select i::text as id from generate_series(1, 100) i) k`;
  const probes: readonly { field: Field; what: string; price: string; condition: string }[] = [
    {
      field: 'requestId',
      what: 'found by key',
      price: 'every batch with a row that does not match at once scans all of it',
      condition: functions.isRecord('r.key', 'r.key_hash', 'r.request_id', 'k.id', 'hashtextextended(k.id, 0)'),
    },
    {
      field: 'occurredAt',
      what: 'found by time',
      price: 'every batch and day scans all of it',
      condition: functions.occurredBetween('r.raw_occurred_at', 'r.occurred_at', ...day),
    },
    {
      field: 'originalRequestId',
      what: 'found by original',
      price: 'every search for cancelled records scans all of it',
      condition: functions.isOfOriginal('r.original_key', 'r.original_request_id', 'k.id'),
    },
    {
      field: 'updatedAt',
      what: 'found by change',
      price: 'every search for changes scans all of it',
      condition: functions.updatedSince('r.raw_updated_at', 'r.updated_at', day[0]),
    },
  ];
  const checked: Checked[] = [];
  for (const { field, what, price, condition } of probes) {
    if (!columns[field]) continue;
    const statement = condition.includes('k.id')
      ? sql`select from ${keys} join ${from} on ${sql.raw(condition)} and r.merchant_no = 1`
      : sql`select from ${from} where ${sql.raw(condition)} and r.merchant_no = 1`;
    const plan = await planOf(db, statement);
    const name = `${NAME}: ${what}`;
    if (plan.scanned.length === 0)
      checked.push(ok(name, `by ${plan.indexes.join(', ') || 'no index: it is a function or a foreign table'}`));
    else if (plan.rows < SMALL_ROWS)
      checked.push(ok(name, `${plan.scanned.join(', ')} is scanned as a whole, and is small`));
    else
      checked.push(
        warning(
          name,
          `no index is used: ${plan.scanned.join(', ')} with about ${plan.rows} rows is scanned as a whole; ${price}`,
          `create index concurrently on ${shown} (${indexed(field, columns[field])}); or on the table below, where that is a view.`,
        ),
      );
  }
  return checked;
}

type PlanNode = {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Index Name'?: string;
  readonly Plans?: readonly PlanNode[];
};

/** The best plan that does without reading a table as a whole: what it reads so all the same, and the indexes it uses. */
async function planOf(db: Db, statement: RawBuilder<unknown>) {
  return inTransaction(db, async () => {
    for (const way of ['seqscan', 'hashjoin', 'mergejoin'])
      await sql`set local ${sql.raw(`enable_${way}`)} = off`.execute(db);
    const found = await sql<{
      'QUERY PLAN': readonly { Plan: PlanNode }[];
    }>`explain (format json) ${statement}`.execute(db);
    const nodes = nodesOf(found.rows[0]!['QUERY PLAN'][0]!.Plan);
    const ours = ['merchant'];
    const scanned = nodes.filter(
      (node) => node['Node Type'].endsWith('Seq Scan') && !ours.includes(node['Relation Name'] ?? ''),
    );
    const names = [...new Set(scanned.map((node) => node['Relation Name']!))];
    const sizes = await sql<{ rows: number }>`
      select coalesce(max(case when c.reltuples > 0 then c.reltuples else pg_relation_size(c.oid) / 100 end), 0)::float8 as rows from pg_class c where c.relname = any(${names}::text[])`.execute(
      db,
    );
    const indexes = nodes.flatMap((node) => node['Index Name'] ?? []).filter((name) => !name.startsWith('merchant_'));
    return { scanned: names, rows: Math.round(sizes.rows[0]!.rows), indexes: [...new Set(indexes)] };
  });
}

const nodesOf = (node: PlanNode): PlanNode[] => [node, ...(node.Plans ?? []).flatMap(nodesOf)];

async function checkRefused(db: Db, from: RawBuilder<unknown>): Promise<readonly Checked[]> {
  const refused = await refusedRecords(db, LIMIT_MS, from);
  const name = `${NAME}: refused`;
  if (!refused)
    return [ok(name, `checking for unusable records takes longer than ${LIMIT_MS / 1_000} s and was skipped`)];
  return refused.map((records) =>
    problem(
      name,
      refusedText(records),
      'Such a record counts as not there. Correct it, or leave it out by ledger.where or a view.',
    ),
  );
}

/** Records with the same key: which of them is right is not for us to say. */
async function checkTwins(db: Db, from: RawBuilder<unknown>): Promise<readonly Checked[]> {
  const found = await inTime(db, () =>
    sql<{ type: string; requestId: string; count: bigint }>`
      select type, request_id as "requestId", count(*) over () as count from ${from}
       group by merchant_no, type, request_id having count(*) > 1 order by type, request_id limit 1`.execute(db),
  );
  const [twin] = found?.rows ?? [];
  if (!twin) return [];
  return [
    problem(
      `${NAME}: keys`,
      `${twin.count} keys have several records, one of them is ${twin.type} ${twin.requestId}`,
      'Make merchant, type and request id unique. Until then the record that agrees with a row counts, else the newest.',
    ),
  ];
}

/** Null: it took too long. */
async function inTime<T>(db: Db, question: () => Promise<T>): Promise<T | null> {
  try {
    return await inTransaction(db, async () => {
      await sql`set local statement_timeout = ${sql.lit(LIMIT_MS)}`.execute(db);
      return question();
    });
  } catch (error) {
    if ((error as { code?: string }).code === '57014') return null;
    throw error;
  }
}
