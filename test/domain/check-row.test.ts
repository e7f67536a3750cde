import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readRow } from '../../src/domain/report/read-row.ts';
import { cellsOf, check, contextOf } from './reading.ts';

test('settlement is gross and fees as printed, within two of the smallest unit', () =>
  check(`
  PAYMENT req=r amount=14.50:USD settle=14.00:USD fee=-0.50:USD                 -> own
  PAYMENT req=r amount=14.50:USD settle=14.02:USD fee=-0.50:USD                 -> own
  PAYMENT req=r amount=14.50:USD settle=13.98:USD fee=-0.50:USD                 -> own
  PAYMENT req=r amount=14.50:USD settle=14.03:USD fee=-0.50:USD                 -> own net_mismatch settlementAmount 14.03 / 14.00 0.03 USD 0.03:USD
  PAYMENT req=r amount=14.50:USD settle=13.97:USD fee=-0.50:USD                 -> own net_mismatch settlementAmount 13.97 / 14.00 -0.03 USD 0.03:USD
  REFUND  req=r amount=-7.25:USD settle=-7.00:USD fee=0.25:USD                  -> own
  PAYMENT req=r amount=10:USD settle=5:USD fee=-1:USD tax=-1:USD processing=-1:USD dispute=-1:USD undispute=1:USD coupon=2:USD -> own
  PAYMENT req=r amount=10:USD settle=8:USD fee=-1:USD interchange=-1:USD        -> own net_mismatch settlementAmount 8.00 / 9.00 -1.00 USD 1.00:USD
  PAYMENT req=r amount=100:JPY settle=103:JPY                                   -> own net_mismatch settlementAmount 103 / 100 3 JPY 3:JPY
  PAYMENT amount=14.50:USD settle=14.00:USD                                     -> lost missing_key transactionRequestId - / - - - 14.00:USD; net_mismatch settlementAmount 14.00 / 14.50 -0.50 USD 0.50:USD`));

test('the tolerance is a setting', () =>
  check(
    'PAYMENT req=r amount=1.00:USD settle=1.01:USD -> own net_mismatch settlementAmount 1.01 / 1.00 0.01 USD 0.01:USD',
    { toleranceMinor: 0n },
  ));

test('an acquirer that prints charges positive has fee and tax deducted, and nothing else', () =>
  check(`
  PAYMENT req=r amount=200:JPY settle=192:JPY fee=8:JPY acquirer=Hundsun              -> own
  REFUND  req=r amount=-100:JPY settle=-96:JPY fee=-4:JPY tax=0:JPY acquirer=Hundsun  -> own
  PAYMENT req=r amount=200:JPY settle=189:JPY fee=8:JPY tax=3:JPY acquirer=Hundsun    -> own
  PAYMENT req=r amount=200:JPY settle=182:JPY fee=8:JPY processing=-10:JPY acquirer=Hundsun -> own
  PAYMENT req=r amount=200:JPY settle=192:JPY fee=8:JPY acquirer=Alipay_SG            -> own net_mismatch settlementAmount 192 / 208 -16 JPY 16:JPY
  PAYMENT req=r amount=200:JPY settle=208:JPY fee=8:JPY acquirer=constructor          -> own`));

test('rows that need no record and have neither gross nor fees carry their amount alone', () =>
  check(`
  SETTLEMENT_FEE        settle=-3.00:USD                  -> none
  COLLATERAL_WITHHOLDING settle=-3.00:USD fee=0:USD       -> none
  RESERVE               settle=-3.00:USD amount=0:USD     -> none
  NEW_THING             settle=-3.00:USD                  -> none
  SETTLEMENT_FEE        settle=-3.00:USD fee=-1.00:USD    -> none net_mismatch settlementAmount -3.00 / -1.00 -2.00 USD 2.00:USD
  DEFAULT               fee=-5.00:HKD                     -> none
  DEFAULT               fee=-5.00:HKD tax=-1.00:HKD       -> none net_mismatch settlementAmount -5.00 / -6.00 1.00 HKD 1.00:HKD
  NEW_THING orig=o amount=0:USD settle=-3.00:USD          -> original net_mismatch settlementAmount -3.00 / 0.00 -3.00 USD 3.00:USD`));

test('an instalment prints its part, or the whole of which it settles as much as each of the others', () =>
  check(`
  PAYMENT req=r amount=10.00:USD settle=9.90:USD fee=-0.10:USD parts=3      -> own
  PAYMENT req=r amount=30.00:USD settle=9.90:USD fee=-0.10:USD parts=3      -> own
  PAYMENT req=r amount=100.00:USD settle=33.34:USD parts=3                  -> own
  PAYMENT req=r amount=100:JPY settle=37:JPY parts=3                        -> own
  PAYMENT req=r amount=100:JPY settle=38:JPY parts=3                        -> own net_mismatch settlementAmount 38 / 100 -62 JPY 62:JPY
  REFUND  req=r amount=-30.00:USD settle=-10.00:USD parts=3                 -> own
  PAYMENT req=r amount=18000:KRW settle=4.50:USD pair=KRW/USD price=0.00075 parts=3 -> own
  PAYMENT req=r amount=30.00:USD settle=10.00:USD parts=1                   -> own net_mismatch settlementAmount 10.00 / 30.00 -20.00 USD 20.00:USD
  PAYMENT req=r amount=30.00:USD settle=15.00:USD parts=3                   -> own net_mismatch settlementAmount 15.00 / 30.00 -15.00 USD 15.00:USD
  PAYMENT req=r amount=30.00:USD settle=20.00:USD parts=999999999           -> own net_mismatch settlementAmount 20.00 / 30.00 -10.00 USD 10.00:USD`));

test('a fee in another currency cannot be added', () => {
  check(`
  PAYMENT req=r amount=10:USD settle=9:USD fee=-1:EUR           -> own net_mismatch settlementAmount 9.00 / - - USD -
  PAYMENT req=r amount=10:USD settle=9:USD fee=-1:USD tax=-1:EUR -> own net_mismatch settlementAmount 9.00 / - - USD -
  PAYMENT req=r amount=10:USD settle=10:USD fee=0:EUR           -> own
  SETTLEMENT_FEE settle=-1:USD tax=-1:EUR                       -> none net_mismatch settlementAmount -1.00 / - - USD -`);
  const read = readRow(cellsOf('PAYMENT req=r amount=10:USD settle=9:USD fee=-1:EUR'), 2, contextOf());
  assert.ok('row' in read);
  assert.equal(read.row.feeMinor, null);
});

test('what the fee is made of is the fee', () =>
  check(`
  PAYMENT req=r amount=10:USD settle=9:USD fee=-1:USD interchange=-0.50:USD scheme=-0.30:USD markup=-0.20:USD -> own
  PAYMENT req=r amount=10:USD settle=9:USD fee=-1:USD interchange=-0.50:USD scheme=-0.30:USD markup=-0.18:USD -> own
  PAYMENT req=r amount=10:USD settle=9:USD fee=-1:USD interchange=-0.90:USD  -> own fee_breakdown_mismatch feeAmount -1.00 / -0.90 -0.10 USD 0.10:USD
  PAYMENT req=r amount=10:USD settle=10:USD interchange=-0.90:USD            -> own fee_breakdown_mismatch feeAmount - / -0.90 - USD -
  PAYMENT req=r amount=10:USD settle=10:USD interchange=-0.02:USD            -> own
  PAYMENT req=r amount=10:USD settle=9:USD fee=-1:USD interchange=-1:EUR     -> own fee_breakdown_mismatch feeAmount -1.00 / - - USD -
  PAYMENT req=r amount=10:USD settle=9:USD fee=-1:USD interchange=-1:USD scheme=0:EUR -> own
  PAYMENT req=r amount=10:USD settle=9:USD fee=-1:USD                        -> own`));

test('a payment comes in, a refund goes out, whatever the fees do', () =>
  check(`
  PAYMENT req=r amount=-10:USD settle=-10:USD               -> own sign_mismatch settlementAmount -10.00 / - - USD 10.00:USD
  CAPTURE req=r amount=-10:USD settle=-11:USD fee=-1:USD    -> own sign_mismatch settlementAmount -11.00 / - - USD 11.00:USD
  PAYMENT req=r amount=1:USD settle=-1:USD fee=-2:USD       -> own
  PAYMENT req=r amount=0:USD settle=-2:USD fee=-2:USD       -> own
  REFUND  req=r amount=10:USD settle=10:USD                 -> own sign_mismatch settlementAmount 10.00 / - - USD 10.00:USD
  REFUND  req=r amount=-1:USD settle=1:USD fee=2:USD        -> own
  REFUND  req=r amount=-96:JPY settle=-96:JPY acquirer=Hundsun -> own
  PAYMENT req=r amount=4:JPY settle=-4:JPY fee=8:JPY acquirer=Hundsun -> own
  VOID    req=r amount=-10:USD settle=-10:USD               -> own
  DISPUTE orig=o amount=-10:USD settle=-10:USD              -> original`));

test('two currencies: gross is what pair and price make of the amount', () =>
  check(`
  PAYMENT req=r amount=18000:KRW settle=13.50:USD pair=KRW/USD price=0.00075   -> own
  PAYMENT req=r amount=18000:KRW settle=13.85:USD pair=USD/KRW price=1300      -> own
  PAYMENT req=r amount=18000:KRW settle=13.45:USD pair=USD/KRW price=1300 fee=-0.40:USD -> own
  PAYMENT req=r amount=18000:KRW settle=13.00:USD pair=USD/KRW price=1300      -> own net_mismatch settlementAmount 13.00 / 13.85 -0.85 USD 0.85:USD
  PAYMENT req=r amount=1.234:KWD settle=612:JPY pair=KWD/JPY price=496         -> own
  PAYMENT req=r amount=10:USD settle=10:USD pair=EUR/JPY price=x               -> own`));

test('two currencies without a price that fits: told, and net is left alone', () =>
  check(`
  PAYMENT req=r amount=18000:KRW settle=13.50:USD                                -> own conversion_mismatch convertedTransactionAmount - / - - - -
  PAYMENT req=r amount=18000:KRW settle=13.50:USD pair=KRW/USD                   -> own conversion_mismatch convertedTransactionAmount - / - - - -
  PAYMENT req=r amount=18000:KRW settle=13.50:USD price=1300                     -> own conversion_mismatch convertedTransactionAmount - / - - - -
  PAYMENT req=r amount=18000:KRW settle=13.50:USD pair=KRW/EUR price=1300        -> own conversion_mismatch convertedTransactionAmount - / - - - -
  PAYMENT req=r amount=18000:KRW settle=13.50:USD pair=USD/KRW price=0           -> own conversion_mismatch convertedTransactionAmount - / - - - -
  PAYMENT req=r amount=18000:KRW settle=13.50:USD pair=USD/KRW price=-1          -> own conversion_mismatch convertedTransactionAmount - / - - - -
  PAYMENT req=r amount=18000:KRW settle=13.50:USD pair=USD/KRW price=1e3         -> own conversion_mismatch convertedTransactionAmount - / - - - -
  PAYMENT req=r amount=18000:KRW settle=13.50:USD converted=13.50:USD            -> own conversion_mismatch convertedTransactionAmount 13.50 / - - USD -
  PAYMENT req=r amount=18000:KRW settle=13.50:USD converted=13.50:EUR            -> own conversion_mismatch convertedTransactionAmount 13.50 / - - EUR -`));

test('the printed converted amount is the gross, and has to be what the price makes', () =>
  check(`
  PAYMENT req=r amount=18000:KRW settle=13.84:USD converted=13.84:USD pair=USD/KRW price=1300 -> own
  PAYMENT req=r amount=18000:KRW settle=14.00:USD converted=14.00:USD pair=USD/KRW price=1300 -> own conversion_mismatch convertedTransactionAmount 14.00 / 13.85 0.15 USD -
  PAYMENT req=r amount=10:USD settle=10:USD converted=10.02:USD                               -> own
  PAYMENT req=r amount=10:USD settle=10.03:USD converted=10.03:USD                            -> own conversion_mismatch convertedTransactionAmount 10.03 / 10.00 0.03 USD -
  SETTLEMENT_FEE settle=5:USD converted=5:USD                                                 -> none`));

test('a row whose sums no amount can hold is refused', () =>
  check(`
  PAYMENT req=r amount=9000000000000000000:JPY settle=1:JPY fee=1:JPY  -> refused settlementAmountValue 1
  PAYMENT req=r amount=9000000000000000000:JPY settle=1:USD pair=JPY/USD price=1 -> refused quotePrice 1
  PAYMENT req=r amount=1:JPY settle=9000000000000000000:JPY fee=-1:JPY -> refused settlementAmountValue 9000000000000000000
  PAYMENT req=r amount=1:JPY settle=1:JPY interchange=9000000000000000000:JPY scheme=1:JPY -> refused interchangeFeeAmountValue 9000000000000000000`));
