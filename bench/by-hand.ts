import { spawn, spawnSync } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { type MadeBatch, RECORD_COLUMNS, SETTLED_COLUMNS, SUMMARY_COLUMNS } from './make-batch.ts';

/** A statement, or a file that is copied into a table of texts. */
type Step = { readonly sql: string } | { readonly copy: string; readonly file: string; readonly isReport?: true };

const textTable = (name: string, columns: readonly string[]) =>
  `create unlogged table ${name} (${columns.map((column) => `"${column}" text`).join(', ')})`;

/**
 * What somebody who knows Postgres well would type. It keeps no archive, no hash and no history, refuses no bad row with its
 * line, and finds nothing but missing records, other amounts, currencies and states, and totals that differ.
 */
const reconcileSteps = ({ details, summary }: MadeBatch): readonly Step[] => [
  { sql: "set work_mem = '256MB'" },
  { sql: textTable('staging', SETTLED_COLUMNS) },
  { copy: 'staging', file: details, isReport: true },
  {
    sql: `create table settled (type text, request_id text, transaction_id text, original_request_id text,
      amount_minor bigint, currency text, settlement_minor bigint, fee_minor bigint, paid_at timestamptz, settled_at timestamptz)`,
  },
  {
    sql: `insert into settled
      select "transactionType", "transactionRequestId", "transactionId", "originalTransactionRequestId",
             ("transactionAmountValue"::numeric * 100)::bigint, "transactionCurrency",
             ("settlementAmountValue"::numeric * 100)::bigint, coalesce(("feeAmountValue"::numeric * 100)::bigint, 0),
             "paymentTime"::timestamptz, "settlementTime"::timestamptz
        from staging`,
  },
  { sql: 'create index on settled (request_id)' },
  { sql: 'analyze settled' },
  { sql: 'select count(*) from settled' },
  {
    sql: `select s.type, s.request_id, s.amount_minor, s.currency, r.amount_minor, r.currency, r.status
        from settled s left join record r on r.request_id = s.request_id and r.type = s.type
       where r.request_id is null or r.amount_minor <> abs(s.amount_minor) or r.currency <> s.currency or r.status <> 'SUCCESS'`,
  },
  { sql: textTable('staged_summary', SUMMARY_COLUMNS) },
  { copy: 'staged_summary', file: summary, isReport: true },
  {
    sql: `with totals as (
        select coalesce(type, 'TOTAL') as type, count(*) as rows, sum(settlement_minor) as settlement, sum(fee_minor) as fee
          from settled group by rollup (type)),
      summary as (
        select "summaryType" as type, count::bigint as rows, "settlementAmountValue"::numeric * 100 as settlement,
               "feeAmountValue"::numeric * 100 as fee
          from staged_summary)
      select * from totals t full join summary s using (type)
       where (t.rows, t.settlement, t.fee) is distinct from (s.rows, s.settlement, s.fee)`,
  },
];

/** The same for the records, in a database that holds none: typed, with the indexes by which they are looked up. A bad line ends it all. */
const importSteps = (file: string): readonly Step[] => [
  { sql: textTable('staged_records', RECORD_COLUMNS) },
  { copy: 'staged_records', file },
  {
    sql: `create table record (request_id text collate "C" not null, type text collate "C" not null, amount_minor bigint not null, currency text not null,
      status text not null, occurred_at timestamptz not null, merchant_id text, original_request_id text collate "C")`,
  },
  {
    sql: `insert into record
      select "requestId", type, (amount::numeric * 100)::bigint, currency, status, "occurredAt"::timestamptz, "merchantId", "originalRequestId"
        from staged_records`,
  },
  { sql: 'create unique index on record (request_id, type)' },
  { sql: 'create index on record (occurred_at)' },
  { sql: 'create index on record (original_request_id) where original_request_id is not null' },
  { sql: 'analyze record' },
  { sql: 'drop table staged_records' },
  { sql: 'select count(*) from record' },
];

/** What runs the statements: psql where there is one, else a connection of our own. Null says that there is no psql. */
export function psqlVersion(): string | null {
  const asked = spawnSync('psql', ['--version'], { encoding: 'utf8' });
  return asked.status === 0 ? (/\d+(\.\d+)*/.exec(asked.stdout)?.[0] ?? 'of unknown version') : null;
}

/**
 * Reconciles the batch by hand, in one transaction, so that COPY writes no WAL here either.
 * @returns the seconds it took, from the start of psql to its end.
 * @throws when anything but "all rows are there, and nothing differs" comes out.
 */
export const reconcileByHand = (url: string, batch: MadeBatch, signal: AbortSignal): Promise<number> =>
  timeSteps(url, reconcileSteps(batch), batch, signal);

/** Imports the records by hand, in the same way, into a database that has no table of this name. */
export const importByHand = (url: string, batch: MadeBatch, signal: AbortSignal): Promise<number> =>
  timeSteps(url, importSteps(batch.recordsFile), batch, signal);

async function timeSteps(url: string, steps: readonly Step[], batch: MadeBatch, signal: AbortSignal): Promise<number> {
  const startedAt = performance.now();
  const printed =
    psqlVersion() === null
      ? await byConnection(url, steps, batch.batchDir)
      : await byPsql(url, steps, batch.batchDir, signal);
  const seconds = (performance.now() - startedAt) / 1_000;
  if (printed !== `${batch.rows}\n`)
    throw new Error(`by hand: ${batch.rows} rows and no difference expected: ${printed}`);
  return seconds;
}

async function byPsql(url: string, steps: readonly Step[], folder: string, signal: AbortSignal): Promise<string> {
  const { username, password, hostname, port, pathname } = new URL(url);
  const psql = spawn(
    'psql',
    ['--no-psqlrc', '--quiet', '--tuples-only', '--no-align', '--single-transaction', '--file=-'],
    {
      cwd: folder,
      signal,
      stdio: ['pipe', 'pipe', 'inherit'],
      env: {
        ...process.env,
        LC_ALL: 'C',
        PGHOST: decodeURIComponent(hostname),
        PGPORT: port,
        PGUSER: username,
        PGPASSWORD: password,
        PGDATABASE: pathname.slice(1),
        PGOPTIONS: '',
      },
    },
  );
  const ended = new Promise<number | null>((resolve, reject) => {
    psql.once('error', reject);
    psql.once('close', resolve);
  });
  let printed = '';
  psql.stdout.setEncoding('utf8').on('data', (text) => {
    printed += text;
  });
  psql.stdin.on('error', () => {}); // its exit code says why
  psql.stdin.end(['\\set ON_ERROR_STOP on', ...steps.map(psqlLine), ''].join('\n'));
  const code = await ended;
  if (code !== 0) throw new Error(`psql ended with ${code}`);
  return printed;
}

/** The last line of a report, `<END>`, is no row. */
function psqlLine(step: Step): string {
  if ('sql' in step) return `${step.sql.replaceAll('\n', ' ')};`;
  const from = step.isReport ? `program 'grep -vxF "<END>" ${step.file}'` : `'${step.file}'`;
  return `\\copy ${step.copy} from ${from} with (format csv, header)`;
}

async function byConnection(url: string, steps: readonly Step[], folder: string): Promise<string> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    let printed = '';
    await client.query('begin');
    for (const step of steps) {
      if ('sql' in step) {
        const { rows } = await client.query({ text: step.sql, rowMode: 'array' });
        printed += rows.map((row) => `${row.join('|')}\n`).join('');
      } else {
        const path = resolve(folder, step.file);
        const { size } = await stat(path);
        const end = step.isReport ? size - '<END>\n'.length - 1 : size;
        const withoutEnd = createReadStream(path, { end, highWaterMark: 1 << 18 });
        await pipeline(withoutEnd, client.query(copyFrom(`copy ${step.copy} from stdin with (format csv, header)`)));
      }
    }
    await client.query('commit');
    return printed;
  } finally {
    await client.end();
  }
}
