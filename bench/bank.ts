/**
 * What a bank costs: a camt.053 with a million entries on the whole path, from the file to the matched payout, beside `xmllint --stream`,
 * which only checks that it is XML; then many payouts that are matched with these entries, through the database; then the matching alone, in
 * memory. Needs about 700 bytes of disk an entry, three times, below TMPDIR.
 *
 *     node bench/bank.ts [--entries 1000000] [--payouts 10000] [--json]
 */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { matchPayouts, type Payout, type PayoutEntry } from '../src/domain/bank/match-payouts.ts';
import { addDays } from '../src/domain/calendar/calendar.ts';
import { formatAmount } from '../src/domain/money/money.ts';
import { writeFiles } from '../test/support/book.ts';
import { debianProgram } from '../test/support/debian.ts';
import { count, inPlace, megabytes, readOptions, tell, timeSettlestream, type Workspace } from './place.ts';
import { type Server, withServer } from './records.ts';

const BATCH = '20260105110210001';
const DAY = '2026-01-05';
const PAID = '123.45';

async function measure({ dir, signal }: Workspace): Promise<void> {
  const { entries, payouts, json } = readOptions({ entries: 1_000_000, payouts: 10_000 });
  const made = makePayouts(Math.min(payouts, entries - 1));
  const file = join(dir, 'statement.xml');
  tell(`making a camt.053 of ${count(entries)} entries …`);
  await makeStatement(file, entries, made.entries);
  makeReports(dir);
  const xmllintSeconds = await timeXmllint(file, signal);
  await withServer(dir, signal, async (server) => {
    const watched = server.serverDir;
    const env = { DATABASE_URL: server.urlOf('settlestream') };
    const args = ['reconcile', join(dir, 'reports'), '--ledger', join(dir, 'records.csv'), '--bank', file, '--json'];
    const run = () => timeSettlestream([...args, '--data-dir', join(dir, 'book')], { signal, env, watched });
    tell('reconciling a batch with it …');
    const { seconds, memory } = await run();
    await mustHaveArrived(server, 1);
    tell(`matching ${count(made.payouts.length)} payouts with its entries …`);
    await insertBatches(server, made.payouts);
    const matching = await run();
    await mustHaveArrived(server, made.payouts.length + 1);
    const result: Result = {
      ...{ entries, fileBytes: statSync(file).size, seconds, xmllintSeconds },
      nodeBytes: memory?.node.pssBytes ?? null,
      payouts: made.payouts.length,
      databaseSeconds: matching.seconds,
      databaseNodeBytes: matching.memory?.node.pssBytes ?? null,
      databaseCpuSeconds: matching.cpu === null ? null : matching.cpu.node + matching.cpu.postgres,
      matchSeconds: timeMatching(made),
    };
    process.stdout.write(json ? `${JSON.stringify(result)}\n` : textOf(result));
  });
}

type Result = {
  readonly entries: number;
  readonly fileBytes: number;
  readonly seconds: number;
  readonly xmllintSeconds: number | null;
  readonly nodeBytes: number | null;
  readonly payouts: number;
  /** Of a call that finds all files known, and matches. */
  readonly databaseSeconds: number;
  readonly databaseNodeBytes: number | null;
  /** Of Node and Postgres together: others may use the cores too. */
  readonly databaseCpuSeconds: number | null;
  /** In memory. */
  readonly matchSeconds: number;
};

function textOf(result: Result): string {
  const { entries, fileBytes, seconds, xmllintSeconds, payouts, databaseSeconds, matchSeconds } = result;
  const cpu = result.databaseCpuSeconds === null ? '' : ` (${result.databaseCpuSeconds.toFixed(1)} s of processors)`;
  const ratio =
    xmllintSeconds === null
      ? 'xmllint is missing, so there is nothing to compare with'
      : `xmllint --stream ${xmllintSeconds.toFixed(1)} s, ratio ${(seconds / xmllintSeconds).toFixed(1)}`;
  const memory = (bytes: number | null) => (bytes === null ? '' : `, all Node processes ${megabytes(bytes)}`);
  return [
    `${count(entries)} entries (${megabytes(fileBytes)}): ${seconds.toFixed(1)} s, ${count(Math.round(entries / seconds))} a second${memory(result.nodeBytes)}; ${ratio}`,
    `${count(payouts)} payouts matched with them through the database: ${databaseSeconds.toFixed(1)} s${cpu}${memory(result.databaseNodeBytes)}`,
    `${count(payouts)} payouts matched in memory: ${matchSeconds.toFixed(1)} s\n`,
  ].join('\n');
}

/** Every payout is at the bank. @throws where one is not */
async function mustHaveArrived({ query }: Server, expected: number): Promise<void> {
  const { rows } = await query('select state, count(*)::int as count from payout group by 1');
  if (rows.length !== 1 || rows[0].state !== 'arrived' || rows[0].count !== expected)
    throw new Error(`not all ${expected} payouts arrived: ${JSON.stringify(rows)}`);
}

/** Batches as their runs leave them: reports of ten thousand would be another benchmark. */
async function insertBatches({ query }: Server, payouts: readonly Payout[]): Promise<void> {
  const values = payouts
    .map(({ batchId, settlementDate, amountMinor }) => `('${batchId}', '${settlementDate}'::date, ${amountMinor})`)
    .join(', ');
  const facts = `jsonb_build_object('rows', 1, 'matchableRows', 1, 'wrongUnit', false, 'missing', false, 'totals', '[]'::jsonb,
    'details', jsonb_build_object('count', 1, 'settlementMinor', v.minor::text, 'feeMinor', null), 'summary', null, 'residualMinor', null)`;
  await query(`
    with v(id, day, minor) as (values ${values}),
    b as (insert into batch (merchant_no, batch_id, currency, settlement_date, wanted, done)
          select (select no from merchant where id = 'M1'), id, 'EUR', day, 1, 1 from v returning no, batch_id),
    r as (insert into run (batch_no, answers, rules, facts, digest, changed)
          select b.no, 1, 'bench', ${facts}, '', true from b join v on v.id = b.batch_id returning no, batch_no)
    insert into bank_change (why) select 'run' from r limit 1`);
  await query('update batch b set current_run = r.no from run r where r.batch_no = b.no and b.current_run is null');
}

/** Entries that pay stand among those of everybody else, as far from each other as possible. */
async function makeStatement(path: string, entries: number, paying: readonly PayoutEntry[]): Promise<void> {
  const out = createWriteStream(path);
  const last = [DAY, ...paying.map(({ bookingDate }) => bookingDate)].sort().at(-1)!;
  const balance = (code: string, amount: string) =>
    `<Bal><Tp><CdOrPrtry><Cd>${code}</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">${amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>${last}</Dt></Dt></Bal>`;
  const own = { amountMinor: 123_45n, bookingDate: DAY, references: [`settlement ${BATCH}`] };
  const all = [own, ...paying];
  const every = Math.floor(entries / all.length);
  const others = BigInt(entries - all.length) * 1_00n;
  const closing = all.reduce((sum, { amountMinor }) => sum + amountMinor, others);
  out.write(`<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><GrpHdr><MsgId>M</MsgId></GrpHdr><Stmt><Id>S1</Id><ElctrncSeqNb>1</ElctrncSeqNb><Acct><Id><IBAN>NL91ABNA0417164300</IBAN></Id><Ccy>EUR</Ccy></Acct>${balance('OPBD', '0.00')}${balance('CLBD', formatAmount(closing, 'EUR'))}
`);
  for (let at = 0; at < entries; at++) {
    const payment = at % every === 0 ? all[at / every] : undefined;
    const amount = payment ? formatAmount(payment.amountMinor, 'EUR') : '1.00';
    const day = payment?.bookingDate ?? DAY;
    const text = payment?.references[0] ?? `invoice ${at * 7} of customer ${at % 977}, thank you`;
    const entry = `<Ntry><NtryRef>${at}</NtryRef><Amt Ccy="EUR">${amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>${day}</Dt></BookgDt><ValDt><Dt>${day}</Dt></ValDt><AcctSvcrRef>B${at}</AcctSvcrRef><NtryDtls><TxDtls><Refs><EndToEndId>E2E-${at}-2026</EndToEndId></Refs><RltdPties><Dbtr><Pty><Nm>Customer number ${at % 977}</Nm></Pty></Dbtr><DbtrAcct><Id><IBAN>DE89370400440532013000</IBAN></Id></DbtrAcct></RltdPties><RmtInf><Ustrd>${text}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>\n`;
    if (!out.write(entry)) await once(out, 'drain');
  }
  out.end('</Stmt></BkToCstmrStmt></Document>\n');
  await once(out, 'finish');
}

function makeReports(dir: string): void {
  writeFiles(dir, {
    [`reports/M1/20260105/settlementItems_EUR_${BATCH}_000.csv`]: [
      'settlementBatchId,transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency',
      `${BATCH},PAYMENT,t-1,p-1,${PAID},EUR,${PAID},EUR`,
      '<END>',
    ],
    [`reports/M1/20260105/settlementSummary_EUR_${BATCH}_000.csv`]: [
      'settlementBatchId,summaryType,count,settlementAmountValue,settlementCurrency,feeAmountValue,feeCurrency',
      `${BATCH},TOTAL,1,${PAID},EUR,0,EUR`,
      '<END>',
    ],
    'records.csv': [
      'requestId,type,amount,currency,status,occurredAt',
      `p-1,PAYMENT,${PAID},EUR,SUCCESS,${DAY}T09:00:00+08:00`,
    ],
  });
}

/** Null: it is neither installed nor can it be fetched. */
async function timeXmllint(path: string, signal: AbortSignal): Promise<number | null> {
  let xmllint: ReturnType<typeof debianProgram>;
  try {
    xmllint = debianProgram('libxml2-utils', 'usr/bin/xmllint');
  } catch (error) {
    tell((error as Error).message);
    return null;
  }
  const env = { ...process.env, LD_LIBRARY_PATH: xmllint.libraries };
  const startedAt = performance.now();
  await promisify(execFile)(xmllint.path, ['--stream', '--noout', '--huge', path], { signal, env });
  return (performance.now() - startedAt) / 1_000;
}

type Made = { readonly payouts: readonly Payout[]; readonly entries: readonly PayoutEntry[] };

/** A quarter is named, a quarter has its own amount, and a half comes as sums of a day. */
function makePayouts(wanted: number): Made {
  const payouts: Payout[] = [];
  const entries: PayoutEntry[] = [];
  const pay = (day: string, amountMinor: bigint, text: string) =>
    entries.push({
      ...{ entryNo: entries.length + 1, merchantNos: [1], currency: 'EUR', bookingDate: addDays(day, 1) },
      ...{ file: 'statement.xml', line: entries.length + 1, amountMinor, reference: null, references: [text] },
      isFromPayer: false,
    });
  const perDay = 20;
  for (let day = 0; payouts.length < wanted; day++) {
    const settlementDate = addDays('2020-01-01', day);
    const sums: bigint[] = [];
    for (let no = 0; no < perDay && payouts.length < wanted; no++) {
      const amountMinor = BigInt(payouts.length) * 7_919n + 1_000_000n;
      const batchId = `2020${String(payouts.length).padStart(14, '0')}`;
      payouts.push({
        ...{ batchNo: payouts.length + 1, batchId, merchantNo: 1, currency: 'EUR', settlementDate, amountMinor },
        dueBy: addDays(settlementDate, 7),
      });
      if (no % 4 > 1) sums.push(amountMinor);
      else pay(settlementDate, amountMinor, no % 4 === 0 ? `paid ${batchId}` : 'paid');
    }
    if (sums.length > 0)
      pay(
        settlementDate,
        sums.reduce((a, b) => a + b, 0n),
        'all of a day',
      );
  }
  return { payouts, entries };
}

function timeMatching({ payouts, entries }: Made): number {
  const startedAt = performance.now();
  matchPayouts(payouts, entries);
  return (performance.now() - startedAt) / 1_000;
}

await inPlace(measure);
