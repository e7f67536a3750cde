import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  REPORT_REFUSALS,
  type ReportRefusalCode,
  ReportRefused,
  ROW_REFUSALS,
  type RowRefusalCode,
  RowRefused,
  Unreachable,
  UsageError,
} from '../../src/domain/errors.ts';

test('the codes that scripts rely on are all there, and no others', () => {
  const promised =
    'no_end no_header missing_columns duplicate_columns mixed_merchants unknown_format bad_encoding rows_after_end row_too_long too_large not_xlsx truncated_xlsx unreadable withdrawn conflicting_files unclear_merchant';
  assert.deepEqual(Object.keys(REPORT_REFUSALS).sort(), promised.split(' ').sort());
});

test('every code has a sentence of its own that says why and what to do', () => {
  const sentences = [...Object.values(ROW_REFUSALS), ...Object.values(REPORT_REFUSALS)];
  assert.equal(new Set(sentences).size, sentences.length);
  for (const sentence of sentences) assert.match(sentence, /^[A-Z].*(: |\. [A-Z]).*\.$/);
});

test('a message says where, what stands there, why, and what to do', () => {
  for (const code of Object.keys(ROW_REFUSALS) as RowRefusalCode[]) {
    const { message } = new RowRefused(code, 'feeCurrency', 'x'.repeat(1000));
    assert.equal(message, `column feeCurrency, "${'x'.repeat(40)}": ${ROW_REFUSALS[code]}`);
    assert.equal(new RowRefused(code, null, null).message, ROW_REFUSALS[code]);
  }
  for (const code of Object.keys(REPORT_REFUSALS) as ReportRefusalCode[]) {
    assert.equal(new ReportRefused(code, 'line 3').message, `line 3: ${REPORT_REFUSALS[code]}`);
    assert.equal(new ReportRefused(code).code, code);
  }
});

test('an error that ends the program knows how', () => {
  assert.equal(new UsageError('no such verb').exitCode, 2);
  const cause = new Error('connection refused');
  const unreachable = new Unreachable('Postgres does not answer', { cause });
  assert.deepEqual([unreachable.exitCode, unreachable.cause], [4, cause]);
});
