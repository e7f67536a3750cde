import assert from 'node:assert/strict';
import { test } from 'node:test';
import { adyenSettlementDetails } from '../../src/domain/formats/adyen-settlement-details.ts';
import { readReportName } from '../../src/domain/report/report-name.ts';
import { readReport, show } from './reading.ts';

const HEADER =
  'Company Account,Merchant Account,Psp Reference,Merchant Reference,Payment Method,Creation Date,TimeZone,Type,Modification Reference,Gross Currency,Gross Debit (GC),Gross Credit (GC),Exchange Rate,Net Currency,Net Debit (NC),Net Credit (NC),Commission (NC),Markup (NC),Scheme Fees (NC),Interchange (NC),Payment Method Variant,Modification Merchant Reference,Batch Number';

// Made up, in the shape of the public documentation.
const REPORT = `${HEADER}
Shop,ShopEU,PSP1,order-1,visa,2026-06-03 11:26:49,CEST,Settled,MOD1,EUR,,5.00,1,EUR,,4.88,,0.04,0.01,0.07,visaclassic,,118
Shop,ShopEU,PSP2,order-2,mc,2026-06-03 11:30:00,CEST,Settled,MOD2,GBP,,100.00,1.15,EUR,,114.00,1.00,,,,mc,,118
Shop,ShopEU,PSP1,order-1,visa,2026-06-04 09:00:00,CEST,Refunded,MOD3,EUR,2.00,,1,EUR,2.10,,0.10,,,,visaclassic,refund-1,118
Shop,ShopEU,PSP3,order-3,visa,2026-06-04 09:30:00,CEST,Chargeback,MOD4,EUR,20.00,,1,EUR,27.50,,7.50,,,,visaclassic,,118
Shop,ShopEU,PSP4,order-4,visa,2026-06-04 10:00:00,CEST,ChargebackReversed,MOD5,EUR,,10.00,1,EUR,,10.00,,,,,visaclassic,,118
Shop,ShopEU,PSP5,order-5,visa,2026-06-04 10:30:00,CEST,RefundedReversed,MOD6,EUR,,1.00,1,EUR,,1.00,,,,,visaclassic,,118
Shop,ShopEU,,,,2026-06-05 00:00:00,CEST,Fee,Transaction Fees June,,,,,EUR,0.50,,,,,,,,118
Shop,ShopEU,,Deposit,,2026-06-05 00:00:00,CEST,DepositCorrection,Deposit,,,,,EUR,,3.00,,,,,,,118
Shop,ShopEU,,,,2026-06-05 02:00:00,CEST,MerchantPayout,TX118,,,,,EUR,102.78,,,,,,,,118`;

const reading = (text: string) =>
  readReport(text, 'settlementDetails', adyenSettlementDetails, { settlementCurrency: 'EUR', batchId: '118' });

test('directions, costs and types come from columns of their own, and it all adds up', () => {
  const rows = reading(REPORT);
  assert.deepEqual(
    rows.flatMap(({ findings, refused }) => [...findings, ...(refused ? [refused] : [])]),
    [],
  );
  const told = rows.map(({ row }) =>
    [
      row?.type,
      row?.matchBy,
      row?.amountMinor,
      row?.settlementMinor,
      row?.feeMinor,
      row?.requestId,
      row?.transactionId,
      row?.originalRequestId,
      row?.originalTransactionId,
    ]
      .map((value) => value ?? '-')
      .join(' '),
  );
  assert.deepEqual(told, [
    'PAYMENT own 500 488 12 order-1 PSP1 - -',
    'PAYMENT own 10000 11400 100 order-2 PSP2 - -',
    'REFUND own -200 -210 10 refund-1 MOD3 order-1 PSP1',
    'DISPUTE original -2000 -2750 750 - MOD4 order-3 PSP3',
    'DISPUTE_REVERSAL original 1000 1000 - - MOD5 order-4 PSP4',
    'REFUND_REVERSAL original 100 100 - - MOD6 order-5 PSP5',
    'Fee none - -50 - - Transaction Fees June - -',
    'DepositCorrection none - 300 - - Deposit - -',
    'PAYOUT none 10278 - - - TX118 - -',
  ]);
});

test('what is paid out is the sum of the other rows', () => {
  const rows = reading(REPORT).map(({ row }) => row!);
  const sum = rows.reduce((sum, { settlementMinor }) => sum + (settlementMinor ?? 0n), 0n);
  const payout = rows.find(({ type }) => type === 'PAYOUT')!;
  assert.equal(payout.amountMinor, sum);
  assert.equal(payout.currency, 'EUR');
});

test('a net that is off is told, whichever way the money goes', () => {
  const change = (from: string, to: string) => {
    assert.ok(REPORT.includes(from));
    return reading(REPORT.replace(from, to)).flatMap(({ findings }) => findings.map(show));
  };
  assert.deepEqual(change(',4.88,,0.04', ',4.98,,0.04'), [
    'net_mismatch settlementAmount 4.98 / 4.88 0.10 EUR 0.10:EUR',
  ]);
  assert.deepEqual(change('27.50,,7.50', '27.50,,'), [
    'net_mismatch settlementAmount -27.50 / -20.00 -7.50 EUR 7.50:EUR',
  ]);
  assert.deepEqual(change('114.00,1.00', '115.00,1.00'), [
    'net_mismatch settlementAmount 115.00 / 114.00 1.00 EUR 1.00:EUR',
  ]);
  assert.deepEqual(change(',,5.00,1,EUR,,4.88', ',5.00,,1,EUR,5.12,'), [
    'sign_mismatch settlementAmount -5.12 / - - EUR 5.12:EUR',
  ]);
});

test('a time is in the zone that is printed beside it, and a zone that is not known refuses the row', () => {
  const [first] = reading(REPORT);
  assert.equal(first?.row?.paidAtMicros, BigInt(Date.UTC(2026, 5, 3, 9, 26, 49)) * 1000n);
  const [west] = reading(REPORT.replace('CEST', 'PST'));
  assert.equal(west?.row?.paidAtMicros, BigInt(Date.UTC(2026, 5, 3, 19, 26, 49)) * 1000n);
  const [unknown] = reading(REPORT.replace('CEST', 'IST'));
  assert.deepEqual([unknown?.refused?.field, unknown?.refused?.reported], ['TimeZone', 'IST']);
  assert.match(unknown!.refused!.message, /zones of a format of your own/);
  const [blank] = reading(REPORT.replace('CEST', ''));
  assert.deepEqual([blank?.refused?.field, blank?.refused?.reported], ['TimeZone', '']);
  const [wrong] = reading(REPORT.replace('2026-06-03 11:26:49', 'yesterday'));
  assert.deepEqual([wrong?.refused?.field, wrong?.refused?.reported], ['Creation Date', 'yesterday']);
});

test('the name says the batch, and nothing says where a file ends', () => {
  const name = readReportName('settlement_detail_report_batch_118.csv', [adyenSettlementDetails]);
  assert.deepEqual([name?.kind, name?.batchId, name?.settlementCurrency], ['settlementDetails', '118', null]);
  assert.equal(adyenSettlementDetails.endMarker, null);
});
