import assert from 'node:assert/strict';
import { test } from 'node:test';
import { adyenSettlementDetails } from '../../src/domain/formats/adyen-settlement-details.ts';
import { antom } from '../../src/domain/formats/antom.ts';
import { apo } from '../../src/domain/formats/apo.ts';
import type { Format } from '../../src/domain/formats/format.ts';
import { statusOf } from '../../src/domain/report/status.ts';
import { readReport, show } from './reading.ts';

const DAY = 'transactionType,transactionRequestId,transactionAmountValue,transactionCurrency,paymentTime,status';
const SETTLED =
  'settlementBatchId,transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency,status';

const inDay = (format: Format, word: string) =>
  readReport(`${DAY}\nPAYMENT,p-1,10.00,USD,2026-03-02T10:00:00Z,${word}`, 'transactionDetails', format)[0]!;
const inBatch = (format: Format, word: string, settled = '10.00', type = 'PAYMENT') =>
  readReport(`${SETTLED}\nB1,${type},t-1,p-1,10.00,USD,${settled},USD,${word}`, 'settlementDetails', format, {
    settlementCurrency: 'USD',
  })[0]!;

test('done, or not done, is a row by name alone; of any other word the row is compared, and it is told', () => {
  const table: [Format, string, 'done' | 'not done' | 'told'][] = [
    [apo, 'SUCCESS', 'done'],
    [apo, ' success ', 'done'],
    [apo, 'FAILED', 'not done'],
    [apo, 'Cancelled', 'not done'],
    [apo, 'SUCCESSFUL', 'told'],
    [apo, 'paid', 'told'],
    [antom, 'Successful', 'done'],
    [antom, 'PROCESSING', 'not done'],
    [antom, 'fail', 'not done'],
    [antom, 'CHARGED_BACK', 'told'],
    // Nothing stands there, so nothing says that it is not done.
    [antom, '', 'told'],
    [antom, 'null', 'told'],
    [antom, 'NONE', 'told'],
    [{ ...antom, notDoneStatuses: ['NONE'] }, '', 'not done'],
    [{ ...antom, doneStatuses: ['NONE'] }, 'null', 'done'],
    [{ ...antom, doneStatuses: ['NONE'] }, 'SUCCESS', 'told'],
  ];
  for (const [format, word, expected] of table) {
    for (const { row, findings } of [inDay(format, word), inBatch({ ...format, mayBeUnsettled: false }, word)]) {
      const told = findings.filter(({ kind }) => kind === 'unknown_status').map(show);
      const said = told.length > 0 ? 'told' : row?.isDone ? 'done' : 'not done';
      assert.equal(said, expected, `${format.name}: "${word}"`);
      assert.equal(row?.matchBy, expected === 'not done' ? 'none' : 'own', word);
      if (expected === 'told') assert.deepEqual(told, [`unknown_status status ${word.trim()} / - - - -`]);
    }
  }
});

test('a format that lists no words says nothing of a blank cell, and knows no word', () => {
  const columns = { names: ['status'], width: 1, at: { status: 0 }, unknown: [] };
  const of = (word: string) => statusOf([word], { columns, format: adyenSettlementDetails });
  assert.deepEqual(of(' '), { isDone: true, isKnown: true, word: '' });
  assert.deepEqual(of('none'), { isDone: true, isKnown: true, word: '' });
  assert.deepEqual(of(' paid '), { isDone: true, isKnown: false, word: 'paid' });
  const { at: _, ...rest } = columns;
  assert.equal(statusOf(['x'], { columns: { ...rest, at: {} }, format: apo }).isDone, true);
});

test('what is not done and settles all the same is left to the record; what settles nothing is not', () => {
  const left = (word: string, settled?: string, type?: string) => inBatch(apo, word, settled, type).findings.map(show);
  assert.deepEqual(left('Pending'), ['status_mismatch status Pending / SUCCESS - - -']);
  assert.deepEqual(left('Pending', '-10.00', 'REFUND'), ['status_mismatch status Pending / SUCCESS - - -']);
  assert.deepEqual(left('Pending', '0.00'), []);
  assert.deepEqual(left('Pending', ''), []);
  assert.deepEqual(left('Pending', '10.00', 'DISPUTE'), []);
  assert.deepEqual(inDay(apo, 'Pending').findings, []);
  const { row } = inBatch(apo, 'Pending');
  assert.deepEqual([row?.isDone, row?.settlementMinor, row?.requestId, row?.transactionId], [false, null, 'p-1', null]);
});
