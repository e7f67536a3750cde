/** A payment's whole story: whoever asks about it sees every record and row of it, the lines as they came, and what was wrong when. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { parse } from 'csv-parse/sync';
import { writeSheet } from '../demo/sheet.ts';
import { matchedBy } from '../src/views/payment-trace/matched-by.ts';
import { query, temporaryFolder, writeFiles } from './support/book.ts';
import { freshDatabase } from './support/postgres.ts';
import { settlestream } from './support/settlestream.ts';

const HEADER =
  'settlementBatchId,acquirer,transactionType,transactionId,originalTransactionId,transactionRequestId,originalTransactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency,feeAmountValue,feeCurrency,cardBrand';
const DAY = 'reports/M1/20260105';
const DETAILS = `${DAY}/settlementItems_USD_B1_000.csv`;

const PAID = 'B1,Acme,PAYMENT,t-1,,p-1,,10.00,USD,9.70,USD,-0.30,USD,"Visa, Classic"';
const FIRST = [HEADER, PAID.replace('10.00', '11.00').replace('9.70', '10.70'), '<END>'];
const SECOND = [HEADER, 'B1,Acme,PAYMENT,t-7,,p-7,,5.00,USD,5.00,USD,,,', PAID, '<END>'];

const folder = writeFiles(temporaryFolder(), {
  'records.csv': [
    'merchantId,requestId,type,amount,currency,status,occurredAt,originalRequestId,orderId',
    'M1,p-1,PAYMENT,10.00,USD,SUCCESS,2026-01-04T09:00:00+08:00,,order-1',
    'M1,r-1,REFUND,4.00,USD,SUCCESS,2026-01-04T10:00:00+08:00,p-1,order-1',
    'M1,p-7,PAYMENT,5.00,USD,SUCCESS,2026-01-04T10:00:00+08:00,,',
    'M1,p-8,PAYMENT,5.00,USD,SUCCESS,2026-01-04T10:00:00+08:00,,',
    'M2,p-1,PAYMENT,99.00,USD,SUCCESS,2026-01-04T09:00:00+08:00,,',
  ],
  [DETAILS]: FIRST,
  // The refund names its payment by both ids. A dispute has no request id of its own and names the payment by the provider's id
  // alone; a fee belongs to nothing.
  [`${DAY}/settlementItems_USD_B2_000.csv`]: [
    HEADER,
    'B2,Acme,REFUND,t-2,t-1,r-1,p-1,-4.00,USD,-4.00,USD,,,',
    'B2,Acme,DISPUTE,t-3,t-1,,,-6.00,USD,-6.00,USD,,,',
    'B2,Acme,SETTLEMENT_FEE,f-1,,,,,,-1.00,USD,,,',
    'B2,Acme,PAYMENT,t-9,,p-9,,3.00,USD,3.00,USD,,,',
    '<END>',
  ],
});
await writeSheet(
  join(folder, `${DAY}/settlementItems_USD_B3_000.xlsx`),
  [HEADER, 'B3,Acme,PAYMENT,t-8,,p-8,,5.00,USD,5.00,USD,,,', '<END>'].map((line) => line.split(',')),
  new Date(),
);

const url = await freshDatabase();
const env = { DATABASE_URL: url, SETTLESTREAM_DATA_DIR: join(folder, 'data') };
const run = (...args: string[]) => settlestream(args, { cwd: folder, env });
const reconcile = async (...args: string[]) => {
  const { code, stderr } = await run('reconcile', 'reports', ...args);
  assert.equal(code, 1, stderr);
};
await reconcile('--ledger', 'records.csv');
writeFiles(folder, { [DETAILS]: SECOND });
await reconcile();

suite('the story of a payment', async () => {
  const { json: story, stderr } = await run('explain', 'p-1', '--merchant', 'M1', '--json');
  // biome-ignore lint/suspicious/noExplicitAny: looked into by name.
  const rows: any[] = story?.rows ?? assert.fail(stderr);

  test('begins with its records, those that name it as their original too', () => {
    assert.deepEqual(
      story.records.map(({ type, requestId, amount, orderId, occurredAt }: Record<string, unknown>) => [
        type,
        requestId,
        amount,
        orderId,
        occurredAt,
      ]),
      [
        ['PAYMENT', 'p-1', '10.00', 'order-1', '2026-01-04T01:00:00.000Z'],
        ['REFUND', 'r-1', '4.00', 'order-1', '2026-01-04T02:00:00.000Z'],
      ],
    );
  });

  test('has every row of it, in every content of every report, and by which rule each was matched', () => {
    assert.deepEqual(
      rows.map((row) => [row.settlementBatchId, row.line, row.revision, row.isCounted, row.type, row.matchedBy]),
      [
        ['B1', 2, 1, false, 'PAYMENT', 'requestId'],
        ['B1', 3, 2, true, 'PAYMENT', 'requestId'],
        ['B2', 2, 1, true, 'REFUND', 'requestId'],
        ['B2', 3, 1, true, 'DISPUTE', 'transactionId'],
      ],
    );
    assert.match(rows[3].rule, /t-1 is the transaction of p-1 in .*B1_000\.csv, line \d, so the record PAYMENT p-1/);
  });

  test('shows each line as it came, with the columns of its header', () => {
    assert.deepEqual(
      rows.map(({ text }) => text),
      [
        FIRST[1],
        SECOND[2],
        ...readFileSync(join(folder, `${DAY}/settlementItems_USD_B2_000.csv`), 'utf8')
          .split('\n')
          .slice(1, 3),
      ],
    );
    assert.deepEqual(rows[1].cells.at(-1), { column: 'cardBrand', text: 'Visa, Classic' });
    assert.ok(rows[1].cells.every(({ text }: { text: string }) => text !== ''));
  });

  test('adds up what was settled, and leaves out what was replaced', () => {
    assert.deepEqual(story.settled, [
      { type: 'PAYMENT', settlementCurrency: 'USD', count: 1, settlementAmount: '9.70', feeAmount: '-0.30' },
      { type: 'REFUND', settlementCurrency: 'USD', count: 1, settlementAmount: '-4.00', feeAmount: '0.00' },
      { type: 'DISPUTE', settlementCurrency: 'USD', count: 1, settlementAmount: '-6.00', feeAmount: '0.00' },
    ]);
  });

  test('says since when something did not add up, and until when and why', () => {
    // Whether the dispute was an orphan for a moment depends on which batch was first.
    const mismatch = story.discrepancies.find(({ kind }: { kind: string }) => kind === 'amount_mismatch');

    assert.deepEqual([mismatch.kind, mismatch.reported, mismatch.recorded], ['amount_mismatch', '11.00', '10.00']);
    assert.ok(Date.parse(mismatch.since) < Date.parse(mismatch.until));
    assert.match(mismatch.closedBecause, /read other reports, or other revisions/);
  });

  test('is the same for its refund, and for an id that the provider gave it', async () => {
    for (const id of ['r-1', 't-1', 't-3']) {
      const { json } = await run('explain', id, '--merchant', 'M1', '--json');
      assert.deepEqual({ ...json, requestId: 'p-1' }, story, id);
    }
  });

  test('is told to people in tables, with every line and what its columns say', async () => {
    const { stdout } = await run('explain', 'p-1', '--merchant', 'M1');
    assert.match(stdout, /B1_000\.csv, line 2, revision 1, which no longer counts/);
    assert.ok(stdout.includes(PAID));
    assert.match(stdout, /cardBrand +│ Visa, Classic/);
    assert.match(stdout, /amount_mismatch/);
  });

  test('has its rows as CSV', async () => {
    const { stdout } = await run('explain', 'p-1', '--merchant', 'M1', '--format', 'csv');
    const [head = [], ...lines] = parse(stdout) as string[][];
    assert.deepEqual(
      lines.map((line) => line[head.indexOf('text')]),
      rows.map(({ text }) => text),
    );
  });
});

test('an id that several merchants use needs the name of one', async () => {
  const { code, stdout, stderr } = await run('explain', 'p-1');
  assert.deepEqual([code, stdout], [2, '']);
  assert.match(stderr, /several merchants \(M1, M2\).*--merchant/);
  const { json } = await run('explain', 'p-1', '--merchant', 'M2', '--json');
  assert.deepEqual([json.records[0].amount, json.rows], ['99.00', []]);
});

test('an id that nobody knows ends with 2', async () => {
  const { code, stderr } = await run('explain', 'nothing', '--merchant', 'M1');
  assert.equal(code, 2);
  assert.match(stderr, /nothing is known of nothing/);
});

test('a row without a record says for which one was looked', async () => {
  const { json } = await run('explain', 'p-9', '--json');
  assert.deepEqual([json.records, json.rows.length, json.rows[0].matchedBy], [[], 1, 'notFound']);
  assert.match(json.rows[0].rule, /There is no record PAYMENT p-9/);
  assert.equal(json.discrepancies[0].kind, 'unknown_transaction');
  assert.equal(json.discrepancies[0].until, null);
});

test("a workbook's row is told to be one, with the text that was made of it", async () => {
  const { json } = await run('explain', 'p-8', '--json');
  assert.deepEqual([json.rows[0].isWorkbook, json.rows[0].line], [true, 2]);
  assert.match(json.rows[0].text, /^B3,Acme,PAYMENT,t-8,,p-8,/);
});

test('a copy that was changed is no evidence, and is not shown', async () => {
  const [copy] = await query<{ path: string }>(
    url,
    `select archive_path as path from load l join delivery d on d.no = l.delivery_no where d.file like '%_B2_000.csv'`,
  );
  const bytes = readFileSync(copy!.path);
  writeFileSync(copy!.path, bytes.toString('utf8').replace('-4.00,USD,-4.00', '-9.00,USD,-9.00'));
  const { json, code } = await run('explain', 'r-1', '--json');
  assert.equal(code, 0);
  const refund = json.rows.find(({ requestId }: { requestId: string }) => requestId === 'r-1');
  assert.deepEqual([refund.text, refund.cells, refund.amount], [null, [], '-4.00']);
  assert.match(refund.textError, /has changed.*restore it from a backup/);
  writeFileSync(copy!.path, bytes);
});

test('the rule of a row is a sentence', () => {
  const row = {
    type: 'REFUND_REVERSAL',
    requestId: 'v',
    transactionId: null,
    originalRequestId: 'x',
    originalTransactionId: null,
  };
  const placed = { ...row, file: 'a.csv', line: 2 };
  const record = {
    amountMinor: 1n,
    currency: 'USD',
    status: 'SUCCESS',
    occurredAtMicros: 0n,
    originalRequestId: null,
  } as const;
  const payment = { ...record, type: 'PAYMENT', requestId: 'x' } as const;
  const refund = { ...record, type: 'REFUND', requestId: 'x' } as const;
  const rule = (...given: Parameters<typeof matchedBy>) => Object.values(matchedBy(...given)).join(': ');
  assert.equal(
    rule(placed, 'original', [payment, refund], []),
    'original: By the original that it names: the record REFUND x.',
  );
  assert.match(
    rule({ ...placed, type: 'DISPUTE' }, 'original', [refund], []),
    /^notFound: There is no PAYMENT, CAPTURE, AUTHORIZATION record of x, the original that it names\.$/,
  );
  const byProvider = { ...placed, type: 'DISPUTE', originalRequestId: null, originalTransactionId: 't' };
  assert.match(
    rule(byProvider, 'original', [payment], []),
    /^notFound: No reported row has the transaction t, the original that it names\.$/,
  );
  assert.match(rule(placed, 'none', [], []), /^none: .*needs no record/);
  assert.match(rule(placed, 'lost', [], []), /^notFound: .*has no id/);
});
