import type { AmountColumn, Format, TypeRule } from './format.ts';

const own: TypeRule = { ownId: true, matchBy: 'own' };
const reversal: TypeRule = { ownId: true, matchBy: 'original' };
const dispute: TypeRule = { ownId: false, matchBy: 'original' };
const noRecord: TypeRule = { ownId: false, matchBy: 'none' };
const holding = (of: 'reserve' | 'collateral', step: 'withheld' | 'released'): TypeRule => ({
  ...noRecord,
  holding: { of, step },
});

const transaction: AmountColumn = {
  column: 'transactionAmountValue',
  currencyColumn: 'transactionCurrency',
  role: 'transaction',
};
const settlement: AmountColumn[] = [
  { column: 'settlementAmountValue', currencyColumn: 'settlementCurrency', role: 'settlement' },
  { column: 'feeAmountValue', currencyColumn: 'feeCurrency', role: 'fee' },
  { column: 'taxFeeAmountValue', currencyColumn: 'taxFeeCurrency', role: 'charge' },
  { column: 'processingFeeAmountValue', currencyColumn: 'processingFeeCurrency', role: 'charge' },
  { column: 'nonGuaranteeCouponValue', currencyColumn: 'nonGuaranteeCouponCurrency', role: 'discount' },
  { column: 'disputeHandlingFee', currencyColumn: 'disputeHandlingFeeCurrency', role: 'charge' },
  { column: 'disputeReverseFee', currencyColumn: 'disputeReverseFeeCurrency', role: 'charge' },
  { column: 'interchangeFeeAmountValue', currencyColumn: 'interchangeFeeCurrency', role: 'breakdown' },
  { column: 'schemeFeeAmountValue', currencyColumn: 'schemeFeeCurrency', role: 'breakdown' },
  { column: 'acquirerMarkupAmountValue', currencyColumn: 'acquirerMarkupCurrency', role: 'breakdown' },
];
const converted: AmountColumn = {
  column: 'convertedTransactionAmountValue',
  currencyColumn: 'convertedCurrency',
  role: 'converted',
};

const columnsOf = (amounts: readonly AmountColumn[]) =>
  amounts.flatMap(({ column, currencyColumn }) => [column, currencyColumn]);

/** What the provider's interfaces and reports say of a payment or refund that is not done. Any other word is told. */
const NOT_DONE: readonly string[] = ['FAIL', 'FAILED', 'PROCESSING', 'PENDING', 'CANCELLED', 'CANCELED'];

/** Columns that both details reports print. */
const details = [
  'customerId',
  'acquirer',
  'acquirerReferenceNo',
  'referenceMerchantId',
  'referenceStoreId',
  'transactionId',
  'originalTransactionId',
  'transactionRequestId',
  'referenceTransactionId',
  'paymentMethodType',
  'pspName',
  'transactionType',
  'status',
  'paymentTime',
  'productCode',
  'originalTransactionRequestId',
  'issuingCountry',
  'cardBrand',
  'funding',
];

/** Reports of Antom Payment Orchestration in the layout that its SFTP set-ups deliver. */
export const apo: Format = {
  name: 'apo',
  id: 'apo',
  extensions: ['csv', 'xlsx', 'zip'],
  directory: '/v1/settlements/{merchantId}/{date}',
  names: {
    transactionDetails: ['transactionItems_{date}_{seq}'],
    settlementDetails: [
      'settlementItems_{currency}_{batchId}_{seq}',
      'settlementItems_{psp}_{currency}_{batchId}_{seq}',
    ],
    settlementSummary: [
      'settlementSummary_{currency}_{batchId}_{seq}',
      'settlementSummary_{psp}_{currency}_{batchId}_{seq}',
    ],
  },
  portalNames: { transactionDetails: [], settlementDetails: [], settlementSummary: [] },
  endMarker: '<END>',
  columns: {
    transactionDetails: [...details, 'orderDescription', ...columnsOf([transaction])],
    settlementDetails: [
      'settlementBatchId',
      ...details,
      'settlementTime',
      'quoteCurrencyPair',
      'quotePrice',
      'installmentsNum',
      ...columnsOf([transaction, ...settlement, converted]),
    ],
    settlementSummary: [
      'settlementBatchId',
      'customerId',
      'acquirer',
      'summaryType',
      'settlementTime',
      'count',
      ...columnsOf(settlement),
    ],
  },
  required: {
    transactionDetails: [
      'transactionType',
      'transactionRequestId',
      'transactionAmountValue',
      'transactionCurrency',
      'paymentTime',
    ],
    settlementDetails: [
      'settlementBatchId',
      'transactionType',
      'transactionId',
      'transactionRequestId',
      'transactionAmountValue',
      'transactionCurrency',
      'settlementAmountValue',
      'settlementCurrency',
    ],
    settlementSummary: ['settlementBatchId', 'settlementAmountValue', 'settlementCurrency'],
  },
  // The newer layout's names for its times are left out on purpose: they are what tells the two apart.
  aliases: { acquirer: ['PSP'], acquirerReferenceNo: ['ARN'], pspName: ['wallet'] },
  amounts: {
    transactionDetails: [transaction],
    settlementDetails: [transaction, ...settlement, converted],
    settlementSummary: settlement,
  },
  deducted: { Hundsun: ['feeAmountValue', 'taxFeeAmountValue'] },
  priceNeedsNoPair: false,
  mayBeUnsettled: false,
  // Only what is done is listed; should a status stand beside it nevertheless, it is heard.
  doneStatuses: ['SUCCESS'],
  notDoneStatuses: NOT_DONE,
  times: {},
  zones: {},
  typeNames: {},
  types: {
    PAYMENT: { ...own, grossSign: 1 },
    AUTHORIZATION: own,
    CAPTURE: { ...own, grossSign: 1 },
    REFUND: { ...own, grossSign: -1 },
    CANCEL: own,
    VOID: own,
    PAYMENT_REVERSAL: reversal,
    REFUND_REVERSAL: reversal,
    DISPUTE: dispute,
    DISPUTE_REVERSAL: dispute,
    RAPID_DISPUTE_RESOLUTION: dispute,
    CDRN: dispute,
    SETTLEMENT_FEE: noRecord,
    ADJUSTMENT_FEE: noRecord,
    COLLATERAL_WITHHOLDING: holding('collateral', 'withheld'),
    COLLATERAL_WITHHELD: holding('collateral', 'withheld'),
    COLLATERAL_RELEASE: holding('collateral', 'released'),
    COLLATERAL_RELEASED: holding('collateral', 'released'),
    RESERVE_WITHHOLDING: holding('reserve', 'withheld'),
    RESERVE: holding('reserve', 'withheld'),
    RESERVE_RELEASE: holding('reserve', 'released'),
    RESERVE_RELEASED: holding('reserve', 'released'),
    // The acquirer's correction: some print it in the fee column and leave the settlement cell empty.
    DEFAULT: { ...noRecord, feeMaySettle: true },
  },
};
