/**
 * What a bank costs: a camt.053 with a million entries on the whole path, from the file to the matched payout, beside `xmllint --stream`,
 * which only checks that it is XML, where that is installed; then many payouts that are matched with their entries. Needs about 700 bytes of
 * disk an entry, twice, below TMPDIR.
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
import { writeFiles } from '../test/support/book.ts';
import { count, inPlace, megabytes, readOptions, removeBook, tell, timeSettlestream, type Workspace } from './place.ts';

const BATCH = '20260105110210001';
const DAY = '2026-01-05';
const PAID = '123.45';

async function measure({ dir, signal }: Workspace): Promise<void> {
  const { entries, payouts, json } = readOptions({ entries: 1_000_000, payouts: 10_000 });
  const file = join(dir, 'statement.xml');
  tell(`making a camt.053 of ${count(entries)} entries …`);
  await makeStatement(file, entries);
  makeReports(dir);
  const xmllintSeconds = await timeXmllint(file, signal);
  tell('reconciling a batch with it …');
  const dataDir = join(dir, 'book');
  const args = ['reconcile', join(dir, 'reports'), '--ledger', join(dir, 'records.csv'), '--bank', file, '--json'];
  const options = { signal, watched: dataDir };
  const { seconds, memory, stdout } = await timeSettlestream([...args, '--data-dir', dataDir], options);
  await removeBook(dataDir);
  const { state } = JSON.parse(stdout).batches[0].bank;
  if (state !== 'arrived') throw new Error(`the payout is ${state}`);
  tell(`matching ${count(payouts)} payouts …`);
  const result = {
    entries,
    fileBytes: statSync(file).size,
    seconds,
    xmllintSeconds,
    nodeBytes: memory?.node.pssBytes ?? null,
    payouts,
    matchSeconds: matchMany(payouts),
  };
  process.stdout.write(json ? `${JSON.stringify(result)}\n` : textOf(result));
}

type Result = {
  readonly entries: number;
  readonly fileBytes: number;
  readonly seconds: number;
  readonly xmllintSeconds: number | null;
  readonly nodeBytes: number | null;
  readonly payouts: number;
  readonly matchSeconds: number;
};

function textOf({ entries, fileBytes, seconds, xmllintSeconds, nodeBytes, payouts, matchSeconds }: Result): string {
  const ratio =
    xmllintSeconds === null ? 'xmllint is not installed' : `xmllint --stream ${xmllintSeconds.toFixed(1)} s`;
  const memory = nodeBytes === null ? '' : `, all Node processes ${megabytes(nodeBytes)}`;
  return [
    `${count(entries)} entries (${megabytes(fileBytes)}): ${seconds.toFixed(1)} s, ${count(Math.round(entries / seconds))} a second${memory}; ${ratio}`,
    `${count(payouts)} payouts matched in ${matchSeconds.toFixed(1)} s\n`,
  ].join('\n');
}

/** One entry pays the batch; all others are somebody else's. */
async function makeStatement(path: string, entries: number): Promise<void> {
  const out = createWriteStream(path);
  const balance = (code: string, amount: string) =>
    `<Bal><Tp><CdOrPrtry><Cd>${code}</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">${amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>${DAY}</Dt></Dt></Bal>`;
  const closing = `${entries - 1 + 123}.45`;
  out.write(`<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><GrpHdr><MsgId>M</MsgId></GrpHdr><Stmt><Id>S1</Id><ElctrncSeqNb>1</ElctrncSeqNb><Acct><Id><IBAN>NL91ABNA0417164300</IBAN></Id><Ccy>EUR</Ccy></Acct>${balance('OPBD', '0.00')}${balance('CLBD', closing)}
`);
  for (let at = 0; at < entries; at++) {
    const isPaid = at === entries >> 1;
    const entry = `<Ntry><NtryRef>${at}</NtryRef><Amt Ccy="EUR">${isPaid ? PAID : '1.00'}</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>${DAY}</Dt></BookgDt><ValDt><Dt>${DAY}</Dt></ValDt><AcctSvcrRef>B${at}</AcctSvcrRef><NtryDtls><TxDtls><Refs><EndToEndId>E2E-${at}-2026</EndToEndId></Refs><RltdPties><Dbtr><Pty><Nm>Customer number ${at % 977}</Nm></Pty></Dbtr><DbtrAcct><Id><IBAN>DE89370400440532013000</IBAN></Id></DbtrAcct></RltdPties><RmtInf><Ustrd>${isPaid ? `settlement ${BATCH}` : `invoice ${at * 7} of customer ${at % 977}, thank you`}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>\n`;
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

async function timeXmllint(path: string, signal: AbortSignal): Promise<number | null> {
  const startedAt = performance.now();
  return promisify(execFile)('xmllint', ['--stream', '--noout', '--huge', path], { signal }).then(
    () => (performance.now() - startedAt) / 1_000,
    () => null,
  );
}

/** A quarter is named, a quarter has its own amount, a quarter comes as the sum of a day, and a quarter is missing. */
function matchMany(payouts: number): number {
  const all: Payout[] = [];
  const entries: PayoutEntry[] = [];
  const entryOf = (day: string, amountMinor: bigint, text: string): PayoutEntry => ({
    entryNo: entries.length + 1,
    merchantNos: [1],
    currency: 'EUR',
    bookingDate: addDays(day, 1),
    file: 'statement.xml',
    line: entries.length + 1,
    amountMinor,
    reference: null,
    references: [text],
    isFromPayer: false,
  });
  const perDay = 20;
  for (let day = 0; all.length < payouts; day++) {
    const settlementDate = addDays('2020-01-01', day);
    const sums: bigint[] = [];
    for (let no = 0; no < perDay; no++) {
      const amountMinor = BigInt(all.length) * 7_919n + 1_000_000n;
      const batchId = `2020${String(all.length).padStart(14, '0')}`;
      const fate = day % 4 === 3 && no % 4 > 1 ? 'missing' : ['named', 'amount', 'sum', 'sum'][no % 4]!;
      all.push({
        batchNo: all.length + 1,
        batchId,
        merchantNo: 1,
        currency: 'EUR',
        settlementDate,
        amountMinor,
        dueBy: addDays(settlementDate, 7),
      });
      if (fate === 'sum') sums.push(amountMinor);
      else if (fate !== 'missing')
        entries.push(entryOf(settlementDate, amountMinor, fate === 'named' ? `paid ${batchId}` : 'paid'));
    }
    if (sums.length > 0)
      entries.push(
        entryOf(
          settlementDate,
          sums.reduce((a, b) => a + b, 0n),
          'all of a day',
        ),
      );
  }
  const startedAt = performance.now();
  matchPayouts(all, entries);
  return (performance.now() - startedAt) / 1_000;
}

await inPlace(measure);
