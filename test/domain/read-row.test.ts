import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { apo } from '../../src/domain/formats/apo.ts';
import { clockTimeOf } from '../../src/domain/report/cells.ts';
import { readHeader } from '../../src/domain/report/header.ts';
import { readRow, refuseLine } from '../../src/domain/report/read-row.ts';
import { cellsOf, check, contextOf } from './reading.ts';

const reading = (text: string, settings: Parameters<typeof contextOf>[0] = {}) => {
  const read = readRow(cellsOf(text, settings.kind), 2, contextOf(settings));
  assert.ok('row' in read, 'refused' in read ? read.refused.message : '');
  return read;
};

test('a row keeps what is matched, summed and shown', () => {
  const { row, findings } = reading(
    'REFUND req=_r-1_ tx=t-1 orig=o-1 origTx=ot-1 amount=-7.25:USD settle=-7.00:USD fee=0.25:USD acquirer=Alipay_SG paid=2018-12-25T10:00:00+08:30 settled=2018-12-26_00:00:00Z parts=3',
  );
  assert.deepEqual(findings, []);
  assert.deepEqual(row, {
    line: 2,
    type: 'REFUND',
    matchBy: 'own',
    requestId: 'r-1',
    transactionId: 't-1',
    originalRequestId: 'o-1',
    originalTransactionId: 'ot-1',
    amountMinor: -725n,
    currency: 'USD',
    settlementMinor: -700n,
    feeMinor: 25n,
    paidAtMicros: BigInt(Date.UTC(2018, 11, 25, 1, 30)) * 1000n,
    settledAtMicros: BigInt(Date.UTC(2018, 11, 26)) * 1000n,
    isDone: true,
    instalments: 3,
    customerId: null,
    acquirer: 'Alipay SG',
  });
});

test('a transaction row has no settlement, and is not checked for what it does not print', () => {
  const { row, findings } = reading('PAYMENT req=r-1 tx=t-1 amount=18000:KRW', { kind: 'transactionDetails' });
  assert.deepEqual(findings, []);
  assert.equal(row.amountMinor, 18000n);
  assert.equal(row.settlementMinor, null);
  assert.equal(row.feeMinor, null);
});

test('how a row finds its record, and what is missing when it cannot', () =>
  check(
    `
  PAYMENT          req=r amount=1:JPY        -> own
  PAYMENT          tx=t  amount=1:JPY        -> lost missing_key transactionRequestId - / - - - 1:JPY
  PAYMENT                                    -> lost missing_key transactionRequestId - / - - - -
  REFUND           req=r amount=1:JPY        -> own
  REFUND           orig=o amount=-5:JPY      -> lost missing_key transactionRequestId - / - - - 5:JPY
  PAYMENT_REVERSAL req=r orig=o amount=1:JPY -> original
  PAYMENT_REVERSAL orig=o amount=1:JPY       -> original missing_key transactionRequestId - / - - - 1:JPY
  REFUND_REVERSAL  req=r origTx=o amount=1:JPY -> original
  REFUND_REVERSAL  req=r amount=1:JPY        -> lost missing_key originalTransactionRequestId - / - - - 1:JPY
  PAYMENT_REVERSAL req=r tx=t amount=1:JPY   -> lost missing_key originalTransactionRequestId - / - - - 1:JPY
  REFUND_REVERSAL  tx=t                      -> lost missing_key transactionRequestId - / - - - -
  DISPUTE          origTx=o amount=1:JPY     -> original
  DISPUTE          req=r orig=o amount=1:JPY -> original
  CDRN             tx=t amount=1:JPY         -> lost missing_key originalTransactionRequestId - / - - - 1:JPY
  DISPUTE          req=r amount=1:JPY        -> lost missing_key originalTransactionRequestId - / - - - 1:JPY
  SETTLEMENT_FEE                             -> none
  RESERVE_RELEASED req=r amount=1:JPY        -> none
  NEW_THING        req=r orig=o amount=1:JPY -> own
  NEW_THING        orig=o amount=1:JPY       -> original
  NEW_THING        tx=t                      -> none
  constructor      tx=t                      -> none
  payment          amount=1:JPY              -> none
  PAYMENT          req=none amount=1:JPY     -> lost missing_key transactionRequestId - / - - - 1:JPY`,
    { kind: 'transactionDetails' },
  ));

test('the stake of a missing key is the settlement amount where one stands', () =>
  check(
    `
  CAPTURE amount=10.00:USD settle=-9.00:USD fee=-19.00:USD
    -> lost missing_key transactionRequestId - / - - - 9.00:USD`.replace('\n    ->', ' ->'),
  ));

test('what cannot be an amount is refused, with its column and its text', () =>
  check(`
  PAYMENT req=r amount=1e5:USD settle=1:USD               -> refused transactionAmountValue 1e5
  PAYMENT req=r amount=+5:USD settle=1:USD                -> refused transactionAmountValue +5
  PAYMENT req=r amount=1,000.00:USD settle=1:USD          -> refused transactionAmountValue 1,000.00
  PAYMENT req=r amount=1:USD settle=１:USD                -> refused settlementAmountValue １
  PAYMENT req=r amount=1.234:USD settle=1:USD             -> refused transactionAmountValue 1.234
  PAYMENT req=r amount=1.230:USD settle=1.23:USD          -> own
  PAYMENT req=r amount=1.5:JPY settle=1:JPY               -> refused transactionAmountValue 1.5
  PAYMENT req=r amount=1.0:JPY settle=1:JPY               -> own
  PAYMENT req=r amount=90000000000000000.01:USD settle=1:USD -> refused transactionAmountValue 90000000000000000.01
  PAYMENT req=r amount=1:USD settle=1:USD markup=x:USD    -> refused acquirerMarkupAmountValue x
  PAYMENT req=r amount=1:USD settle=1:USD converted=.5:USD -> refused convertedTransactionAmountValue .5
  PAYMENT req=r amount=1:USD settle=1:USD tax=NULL:USD    -> own`));

test('an amount needs an ISO currency, and a currency has to be one even alone', () =>
  check(`
  PAYMENT req=r amount=1:usd settle=1:USD               -> refused transactionCurrency usd
  PAYMENT req=r amount=1:XAU settle=1:USD               -> refused transactionCurrency XAU
  PAYMENT req=r amount=1:toString settle=1:USD          -> refused transactionCurrency toString
  PAYMENT req=r amount=1:none settle=1:USD              -> refused transactionCurrency none
  PAYMENT req=r amount=1: settle=1:USD                  -> refused transactionCurrency
  PAYMENT req=r amount=1:USD settle=1:USD fee=-1:       -> refused feeCurrency
  PAYMENT req=r amount=1:USD settle=1:USD fee=:ABC      -> refused feeCurrency ABC
  PAYMENT req=r amount=1:USD settle=1:USD fee=:EUR      -> own`));

test('a currency column that the report lacks is named as the format names it', () => {
  const names = [...apo.required.settlementDetails, 'feeAmountValue'];
  const ctx = { ...contextOf(), columns: readHeader(names, 'settlementDetails', apo) };
  const read = readRow(['', 'PAYMENT', 't', 'r', '1', 'USD', '1', 'USD', '-1'], 2, ctx);
  assert.ok('refused' in read);
  assert.deepEqual([read.refused.field, read.refused.reported], ['feeCurrency', null]);
});

test('the amounts a row cannot do without', () =>
  check(`
  PAYMENT req=r settle=1:USD                     -> refused transactionAmountValue
  PAYMENT req=r amount=null:USD settle=1:USD     -> refused transactionAmountValue null
  DISPUTE origTx=o settle=-1:USD                 -> refused transactionAmountValue
  DISPUTE tx=t settle=-1:USD                     -> lost missing_key originalTransactionRequestId - / - - - 1.00:USD; net_mismatch settlementAmount -1.00 / 0.00 -1.00 USD 1.00:USD
  PAYMENT req=r amount=1:USD                     -> refused settlementAmountValue
  SETTLEMENT_FEE fee=-1:USD                      -> refused settlementAmountValue
  DEFAULT tax=-1:USD                             -> refused settlementAmountValue
  DEFAULT fee=-1:USD                             -> none
  - req=r amount=1:USD settle=1:USD              -> refused transactionType`));

test('an id that no index holds is refused, and is measured in bytes', () => {
  const [most, tooLong] = ['x'.repeat(1_000), 'x'.repeat(1_001)];
  const shown = 'x'.repeat(200);
  check(`
  PAYMENT req=${most} tx=${most} orig=${most} origTx=${most} amount=1:USD settle=1:USD -> own
  PAYMENT req=_${most}_ amount=1:USD settle=1:USD        -> own
  PAYMENT req=${'é'.repeat(500)} amount=1:USD settle=1:USD -> own
  PAYMENT req=${'é'.repeat(501)} amount=1:USD settle=1:USD -> refused transactionRequestId ${'é'.repeat(200)}
  PAYMENT req=${'中'.repeat(334)} amount=1:USD settle=1:USD -> refused transactionRequestId ${'中'.repeat(200)}
  PAYMENT req=${tooLong} amount=1:USD settle=1:USD       -> refused transactionRequestId ${shown}
  PAYMENT req=r tx=${tooLong} amount=1:USD settle=1:USD  -> refused transactionId ${shown}
  REFUND req=r orig=${tooLong} amount=-1:USD settle=-1:USD -> refused originalTransactionRequestId ${shown}
  REFUND req=r origTx=${tooLong} amount=-1:USD settle=-1:USD -> refused originalTransactionId ${shown}
  ${most} req=r amount=1:USD settle=1:USD                -> own
  ${tooLong} req=r amount=1:USD settle=1:USD             -> refused transactionType ${shown}`);
});

test('the name decides: batch and currency of a row may be blank, not different', () => {
  check(
    `
  PAYMENT req=r amount=1:USD settle=1:USD batch=B-1 -> own
  PAYMENT req=r amount=1:USD settle=1:USD           -> own
  PAYMENT req=r amount=1:USD settle=1:USD batch=none -> own
  PAYMENT req=r amount=1:USD settle=1:USD batch=b-1 -> refused settlementBatchId b-1
  PAYMENT req=r amount=1:EUR settle=1:EUR batch=B-1 -> refused settlementCurrency EUR
  PAYMENT req=r amount=1:USD settle=1:              -> own
  DEFAULT fee=-1:USD                                -> none`,
    { batchId: 'B-1', settlementCurrency: 'USD' },
  );
  check('PAYMENT req=r amount=1:USD settle=1:USD batch=any -> own');
});

test('times need an offset', () =>
  check(`
  PAYMENT req=r amount=1:USD settle=1:USD paid=2026-01-31T10:00:00        -> refused paymentTime 2026-01-31T10:00:00
  PAYMENT req=r amount=1:USD settle=1:USD settled=2026-02-30T10:00:00Z    -> refused settlementTime 2026-02-30T10:00:00Z
  PAYMENT req=r amount=1:USD settle=1:USD paid=null settled=none          -> own`));

test('minor units: the same row in cents', () => {
  check('PAYMENT req=r amount=1450:USD settle=1400.00:USD fee=-50:USD -> own', { amountUnit: 'minor' });
  check('PAYMENT req=r amount=14.5:USD settle=1400:USD -> refused transactionAmountValue 14.5', {
    amountUnit: 'minor',
  });
});

test('a DEFAULT row whose amount is in the fee column settles that fee', () => {
  assert.equal(reading('DEFAULT fee=-5:HKD').row.settlementMinor, -500n);
  assert.equal(reading('DEFAULT fee=-5:HKD').row.feeMinor, -500n);
  assert.equal(reading('DEFAULT fee=-5:HKD settle=0:HKD').row.settlementMinor, 0n);
  // Hundsun prints a charge as a positive number, so five taken is five less to settle.
  assert.equal(reading('DEFAULT fee=5:HKD acquirer=Hundsun').row.settlementMinor, -500n);
  const foreign = reading('DEFAULT fee=-5:USD', { settlementCurrency: 'HKD' });
  assert.deepEqual([foreign.row.settlementMinor, foreign.row.feeMinor], [null, null]);
  assert.equal(foreign.findings[0]?.kind, 'net_mismatch');
});

test('a row is as wide as its header, or wider with nothing in it', () => {
  const ctx = contextOf();
  const cells = cellsOf('PAYMENT req=r-1 amount=1:USD settle=1:USD');
  const refused = (row: readonly string[]) => {
    const read = readRow(row, 3, ctx);
    assert.ok('refused' in read);
    return read.refused;
  };
  assert.ok('row' in readRow([...cells, '', ' ', ''], 3, ctx));
  assert.deepEqual(
    [refused(cells.slice(0, -1)).field, refused(cells.slice(0, -1)).reported],
    [ctx.columns.names.at(-1), null],
  );
  assert.equal(refused([]).field, 'transactionType');
  assert.equal(refused([...cells, 'null']).field, null);
  const surplus = refused([...cells, 'a, "b"', 'é'.repeat(300)]);
  assert.equal(surplus.field, null);
  assert.ok(surplus.reported?.startsWith('PAYMENT,,r-1,'));
  assert.equal(surplus.reported?.length, 200);
  assert.ok(surplus.reported?.includes(',"a, ""b""",ééé'));
  assert.deepEqual([surplus.type, surplus.requestId, surplus.currency, surplus.stake], [null, null, null, null]);
});

test('a NUL is shown as a character that can be stored', () => {
  const cells = cellsOf('PAYMENT req=r\0x amount=1:USD settle=1:USD');
  const read = readRow(cells, 3, contextOf());
  assert.ok('refused' in read);
  assert.equal(read.refused.field, 'transactionRequestId');
  assert.equal(read.refused.reported, 'r\uFFFDx');
  assert.ok(!read.refused.message.includes('\0'));
});

test('a refused row says what stands there and what to do, and is named by its line alone', () => {
  const read = readRow(cellsOf('PAYMENT req=r-1 tx=t-1 amount=x:USD settle=1:USD'), 9, contextOf());
  assert.ok('refused' in read);
  const { type, requestId, transactionId, message } = read.refused;
  assert.deepEqual([type, requestId, transactionId], [null, null, null]);
  assert.match(message, /^column transactionAmountValue, "x": This is not an amount: .*fetch the original again/);
});

test('at most 200 characters of a long cell are told, and no half of one', () => {
  const read = readRow(cellsOf(`PAYMENT req=r amount=${'😀'.repeat(300)}:USD settle=1:USD`), 9, contextOf());
  assert.ok('refused' in read);
  assert.equal(read.refused.reported, '😀'.repeat(200));
});

test('a line that is no row is refused with how it begins', () => {
  const refused = refuseLine(12, 'bad_quoting', `B-1,"${'x'.repeat(300)}`);
  assert.equal(refused.kind, 'refused_row');
  assert.equal(refused.line, 12);
  assert.equal(refused.field, null);
  assert.equal(refused.reported, `B-1,"${'x'.repeat(195)}`);
});

test('no cells whatever make it throw: a row is read or refused', () => {
  const ctx = contextOf({ batchId: 'B', settlementCurrency: 'USD' });
  const good = cellsOf(
    'PAYMENT req=r tx=t batch=B amount=1:USD settle=1:USD fee=-1:USD pair=USD/EUR price=1.2 parts=2',
  );
  const cell = fc.oneof(
    fc.string(),
    fc.constantFrom(
      '',
      'null',
      '-0',
      '9e9',
      '9000000000000000000',
      '-90000000000000000.00',
      'USD',
      'JPY',
      'DEFAULT',
      '\0',
    ),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat({ max: good.length + 1 }), cell), { maxLength: 6 }), (changes) => {
      const cells = [...good];
      for (const [at, value] of changes) cells[Math.min(at, cells.length)] = value;
      const read = readRow(cells, 2, ctx);
      assert.ok('row' in read !== 'refused' in read);
    }),
  );
});

test("a workbook's time is a clock's where the row names its zone", () => {
  const table: [text: string, mayBeDate: boolean, expected: string][] = [
    ['2026-03-02T14:58:48+08:00', false, '2026-03-02T14:58:48'],
    ['2026-03-02T14:58:48.250-03:30', true, '2026-03-02T14:58:48.250'],
    ['2026-03-02T00:00:00+08:00', false, '2026-03-02T00:00:00'],
    ['2026-03-02T00:00:00+08:00', true, '2026-03-02'],
    ['a, "b"', true, 'a, "b"'],
  ];
  for (const [text, mayBeDate, expected] of table) assert.equal(clockTimeOf(text, mayBeDate), expected, text);
});
