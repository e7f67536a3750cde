import assert from 'node:assert/strict';
import { test } from 'node:test';
import { apo } from '../../src/domain/formats/apo.ts';
import { checksOfDay, checksOfSettlement, type LookedAtSettlement } from '../../src/domain/matching/checks.ts';
import { readHeader } from '../../src/domain/report/header.ts';
import { insteadOf, lacksOf } from '../../src/domain/report/unread.ts';

function headerOf(kind: 'settlementDetails' | 'settlementSummary', left: readonly string[] = []) {
  const columns = readHeader(
    apo.columns[kind].filter((column) => !left.includes(column)),
    kind,
    apo,
  );
  const lacks = lacksOf(columns, kind, apo);
  return { kind, format: apo, columns, lacks, insteads: insteadOf(lacks, columns) };
}

const WHOLE: LookedAtSettlement = {
  details: [headerOf('settlementDetails')],
  summary: [headerOf('settlementSummary')],
  rows: 3,
  matchableRows: 2,
  notDoneRows: 0,
  wrongUnit: false,
  isWaiting: false,
  hasSummaries: true,
  detailsWhole: true,
  summaryWhole: true,
  hasFees: true,
  stated: { count: 3, settlementMinor: 1n, feeMinor: 0n },
  summaryTypes: ['PAYMENT', 'TOTAL'],
};
const SUMMARY = ['summaryCount', 'summarySettlementAmount', 'summaryFeeAmount'];
const ROWS = ['records', 'net', 'fees', 'feeBreakdown', 'conversion'];

/** What could not be checked of such a batch. */
const notOf = (change: Partial<LookedAtSettlement>): string[] =>
  checksOfSettlement({ ...WHOLE, ...change }).flatMap(({ name, state, why }) => {
    assert.equal(
      state === 'done',
      why === null,
      'a reason stands beside what was not possible, and beside nothing else',
    );
    return state === 'done' ? [] : [name];
  });

test('everything is checked of a batch that is whole, and each thing that is not there takes its checks with it', () => {
  assert.deepEqual(notOf({}), []);
  assert.deepEqual(notOf({ summary: [], stated: null, summaryTypes: [] }), [...SUMMARY, 'total']);
  assert.deepEqual(notOf({ summary: [], stated: null, summaryTypes: [], hasSummaries: false }), [...SUMMARY, 'total']);
  assert.deepEqual(notOf({ details: [], rows: 0, matchableRows: 0, detailsWhole: false }), [...ROWS, ...SUMMARY]);
  assert.deepEqual(notOf({ rows: 0, matchableRows: 0 }), ROWS);
  assert.deepEqual(notOf({ isWaiting: true }), SUMMARY);
  assert.deepEqual(notOf({ detailsWhole: false }), SUMMARY);
  assert.deepEqual(notOf({ summaryWhole: false }), SUMMARY);
  assert.deepEqual(notOf({ wrongUnit: true }), ['records', 'net', 'conversion']);
  assert.deepEqual(notOf({ matchableRows: 0, notDoneRows: 2 }), ['records']);
  assert.deepEqual(notOf({ matchableRows: 0 }), ['records']);
  assert.deepEqual(notOf({ hasFees: false }), ['summaryFeeAmount']);
  assert.deepEqual(notOf({ summaryTypes: ['TOTAL'] }), ['total']);
  assert.deepEqual(notOf({ summaryTypes: ['PAYMENT'] }), ['total']);
});

test('a column that some part lacks takes its check with it', () => {
  const without = (...left: string[]) => [headerOf('settlementDetails'), headerOf('settlementDetails', left)];
  assert.deepEqual(notOf({ details: without('feeAmountValue') }), ['fees']);
  assert.deepEqual(notOf({ details: without('convertedTransactionAmountValue') }), ['conversion']);
  assert.deepEqual(notOf({ details: without('schemeFeeAmountValue') }), []);
  const breakdown = ['interchangeFeeAmountValue', 'schemeFeeAmountValue', 'acquirerMarkupAmountValue'];
  assert.deepEqual(notOf({ details: without(...breakdown) }), ['feeBreakdown']);
  assert.deepEqual(notOf({ summary: [headerOf('settlementSummary', ['count'])] }), ['summaryCount']);
  assert.deepEqual(notOf({ summary: [headerOf('settlementSummary', ['feeAmountValue'])] }), ['summaryFeeAmount']);
});

test('rows that say what is paid out stand for the summary, and state an amount alone', () => {
  const stated = { count: null, settlementMinor: 1n, feeMinor: null };
  const paid = { summary: [], hasSummaries: false, summaryTypes: [], stated };
  assert.deepEqual(notOf(paid), ['summaryCount', 'summaryFeeAmount', 'total']);
});

test('of a day, records are compared from both sides', () => {
  const names = (change: Partial<LookedAtSettlement>) =>
    checksOfDay({ ...WHOLE, ...change }).flatMap(({ name, state }) => (state === 'done' ? [] : [name]));
  assert.deepEqual(names({}), []);
  assert.deepEqual(names({ matchableRows: 0, notDoneRows: 3 }), ['records']);
  assert.deepEqual(names({ isWaiting: true }), ['unreported']);
  assert.deepEqual(names({ details: [], rows: 0, matchableRows: 0 }), ['records', 'unreported']);
});
