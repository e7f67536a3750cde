import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import { openDatabase } from '../../src/adapters/postgres/connection.ts';
import { apo } from '../../src/domain/formats/apo.ts';
import { createRowTable } from '../../src/store/row-tables.ts';
import { loadChunk } from '../../src/workers/load/load-chunk.ts';
import { freshDatabase } from '../support/postgres.ts';

const COLUMNS = apo.columns.settlementDetails;
const RULES = { format: 'apo', amountUnit: 'major', tolerance: '2', timeZone: 'UTC' };

const line = (cells: Readonly<Record<string, string>>) => COLUMNS.map((column) => cells[column] ?? '').join(',');
const payment = (requestId: string, amount: string, settlement: string) =>
  line({
    settlementBatchId: 'B-1',
    transactionId: 't',
    transactionRequestId: requestId,
    transactionType: 'PAYMENT',
    transactionAmountValue: amount,
    transactionCurrency: 'USD',
    settlementAmountValue: settlement,
    settlementCurrency: 'USD',
    status: 'SUCCESS',
  });

test('a chunk is loaded whatever its rows show by themselves: a stake beyond 64 bits, an id too long', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'settlestream-chunk-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'report');
  const bytes = Buffer.from(
    [
      payment('huge', '-90000000000000000', '90000000000000000'),
      payment('x'.repeat(1_001), '1.00', '1.00'),
      payment('nul\0', '1.00', '1.00'),
      payment('', '1.00', '1.00'),
      payment('plain', '1.00', '1.00'),
      // More than are kept back at once, and more rows after them.
      ...Array.from({ length: 2_500 }, (_, nth) => payment(`off-${nth}`, '1.00', '2.00')),
      '',
    ].join('\n'),
  );
  writeFileSync(path, bytes);

  const database = await openDatabase(await freshDatabase(), 2);
  t.after(() => database.close());
  const { pool } = database;
  await pool.query(`insert into merchant (id) values ('M')`);
  await pool.query(`insert into batch (merchant_no, batch_id, currency) values (1, 'B-1', 'USD')`);
  await pool.query(`insert into report (batch_no, kind, name, seq) values (1, 'settlementDetails', 'name', 0)`);
  await pool.query(
    `insert into delivery (report_no, source, rules, path, file, size_bytes, modified_at) values (1, 's', $1, 'p', 'f', 1, now())`,
    [RULES],
  );
  await pool.query(
    `insert into load (delivery_no, report_no, series, slot, rules, format, header, archive_path, size_bytes) values (1, 1, 's', 1, $1, 'apo', $2, $3, 1)`,
    [RULES, COLUMNS, path],
  );
  await pool.query(
    `insert into chunk (load_no, no, offset_bytes, length_bytes, first_line, crc32, encoding) values (1, 0, 0, $1, 2, $2, 'utf8')`,
    [bytes.length, crc32(bytes)],
  );
  await createRowTable(database.db, 1);
  const enqueue = () => assert.fail('the load has no number of chunks yet, so this is not the last');
  await loadChunk(
    { database, enqueue, recordMetric: () => {}, logEvent: () => {} },
    { loadNo: 1, chunk: 0, attempt: 0 },
  );

  const { rows: chunks } = await pool.query('select state from chunk');
  assert.deepEqual(chunks, [{ state: 'loaded' }]);
  const { rows: findings } = await pool.query(
    `select line, of_matchable, kind, request_id, field, left(reported, 5) as reported, stake_minor::text as stake, stake_currency
       from row_finding order by line, kind limit 6`,
  );
  assert.deepEqual(
    findings.map((finding) => Object.values(finding).join(' ')),
    [
      '2 true net_mismatch huge settlementAmount 90000 18000000000000000000 USD',
      '3 false refused_row  transactionRequestId xxxxx  ',
      '4 false refused_row  transactionRequestId nul\uFFFD  ',
      '5 false missing_key  transactionRequestId  100 USD',
      '7 true net_mismatch off-0 settlementAmount 2.00 100 USD',
      '8 true net_mismatch off-1 settlementAmount 2.00 100 USD',
    ],
  );
  const { rows: counts } = await pool.query(
    `select (select count(*) from row_finding where kind = 'net_mismatch' and request_id like 'off-%') as findings,
            (select count(*) from report_row_1) as rows`,
  );
  assert.deepEqual(counts, [{ findings: 2_500n, rows: 2_503n }]);
});
