import assert from 'node:assert/strict';
import type { Discrepancy } from '../../src/domain/discrepancy.ts';
import { apo } from '../../src/domain/formats/apo.ts';
import type { Format } from '../../src/domain/formats/format.ts';
import { formatAmount } from '../../src/domain/money/money.ts';
import { readHeader } from '../../src/domain/report/header.ts';
import { type RowContext, readRow } from '../../src/domain/report/read-row.ts';

/** Short names, so that a row of a table fits on a line. An amount `10.00:USD` fills two columns. */
const COLUMNS: Record<string, readonly string[]> = {
  type: ['transactionType'],
  batch: ['settlementBatchId'],
  req: ['transactionRequestId'],
  tx: ['transactionId'],
  orig: ['originalTransactionRequestId'],
  origTx: ['originalTransactionId'],
  acquirer: ['acquirer'],
  paid: ['paymentTime'],
  settled: ['settlementTime'],
  parts: ['installmentsNum'],
  pair: ['quoteCurrencyPair'],
  price: ['quotePrice'],
  amount: ['transactionAmountValue', 'transactionCurrency'],
  converted: ['convertedTransactionAmountValue', 'convertedCurrency'],
  settle: ['settlementAmountValue', 'settlementCurrency'],
  fee: ['feeAmountValue', 'feeCurrency'],
  tax: ['taxFeeAmountValue', 'taxFeeCurrency'],
  processing: ['processingFeeAmountValue', 'processingFeeCurrency'],
  coupon: ['nonGuaranteeCouponValue', 'nonGuaranteeCouponCurrency'],
  dispute: ['disputeHandlingFee', 'disputeHandlingFeeCurrency'],
  undispute: ['disputeReverseFee', 'disputeReverseFeeCurrency'],
  interchange: ['interchangeFeeAmountValue', 'interchangeFeeCurrency'],
  scheme: ['schemeFeeAmountValue', 'schemeFeeCurrency'],
  markup: ['acquirerMarkupAmountValue', 'acquirerMarkupCurrency'],
};

type Kind = RowContext['kind'];
type Settings = Partial<Pick<RowContext, 'kind' | 'batchId' | 'settlementCurrency' | 'amountUnit' | 'toleranceMinor'>>;

const headerOf = (kind: Kind) =>
  Object.values(COLUMNS)
    .flat()
    .filter((name) => apo.columns[kind].includes(name));

export function contextOf(settings: Settings = {}): RowContext {
  const kind = settings.kind ?? 'settlementDetails';
  return {
    kind,
    columns: readHeader(headerOf(kind), kind, apo),
    format: apo,
    batchId: null,
    settlementCurrency: null,
    amountUnit: 'major',
    toleranceMinor: 2n,
    ...settings,
  };
}

/** `PAYMENT req=r-1 amount=10.00:USD` as cells; `_` is a space. */
export function cellsOf(text: string, kind: Kind = 'settlementDetails'): string[] {
  const [type = '', ...pairs] = text.trim().split(/\s+/);
  const values = new Map<string, string>([['transactionType', type === '-' ? '' : type]]);
  for (const pair of pairs) {
    const at = pair.indexOf('=');
    const columns = COLUMNS[pair.slice(0, at)];
    assert.ok(columns, `no such column: ${pair}`);
    const value = pair.slice(at + 1).replaceAll('_', ' ');
    const [first = '', second = ''] = columns.length === 1 ? [value] : value.split(':');
    values.set(columns[0]!, first);
    if (columns[1]) values.set(columns[1], second);
  }
  return headerOf(kind).map((name) => values.get(name) ?? '');
}

/** A discrepancy in one line: kind, field, reported / recorded, difference, currency, stake. */
export function show({ kind, field, reported, recorded, difference, currency, stake }: Discrepancy): string {
  const money = stake === null ? '-' : `${formatAmount(stake.amountMinor, stake.currency)}:${stake.currency}`;
  return `${kind} ${field ?? '-'} ${reported ?? '-'} / ${recorded ?? '-'} ${difference ?? '-'} ${currency ?? '-'} ${money}`;
}

/** Each line: a row, `->`, then how it is matched, what it settles, and what is found in it; or `refused` and where. */
export function check(table: string, settings: Settings = {}): void {
  const ctx = contextOf(settings);
  for (const line of table.split('\n').filter((text) => text.trim() !== '')) {
    const [input = '', expected = ''] = line.split('->');
    const read = readRow(cellsOf(input, ctx.kind), 7, ctx);
    let actual: string;
    if ('refused' in read) {
      assert.equal(read.refused.kind, 'refused_row');
      assert.equal(read.refused.recorded, null);
      assert.equal(read.refused.line, 7);
      actual = `refused ${read.refused.field ?? '-'} ${read.refused.reported ?? 'null'}`;
    } else {
      const found = read.findings.map(show).join('; ');
      actual = `${read.row.matchBy} ${found}`;
    }
    assert.equal(actual.trim(), expected.trim().replace(/\s+/g, ' '), input.trim());
  }
}

/** The lines of a report without quotes, each read as the loader would read it; findings and refusals as `show` tells them. */
export function readReport(text: string, kind: Kind, format: Format, settings: Settings = {}) {
  const [header = [], ...rows] = text
    .trim()
    .split('\n')
    .map((line) => line.trim().split(','));
  const columns = readHeader(header, kind, format);
  return rows.map((cells, index) => {
    const read = readRow(cells, index + 2, { ...contextOf(), kind, columns, format, ...settings });
    return 'row' in read ? { ...read, refused: null } : { row: null, findings: [], refused: read.refused };
  });
}
