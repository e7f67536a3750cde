import type { AmountColumn, Format, TypeRule } from './format.ts';

const columns = [
  'Company Account',
  'customerId',
  'transactionId',
  'transactionRequestId',
  'Payment Method',
  'paymentTime',
  'TimeZone',
  'transactionType',
  'Modification Reference',
  'transactionCurrency',
  'Gross Debit (GC)',
  'Gross Credit (GC)',
  'quotePrice',
  'settlementCurrency',
  'Net Debit (NC)',
  'Net Credit (NC)',
  'Commission (NC)',
  'Markup (NC)',
  'Scheme Fees (NC)',
  'Interchange (NC)',
  'Payment Method Variant',
  'Modification Merchant Reference',
  'settlementBatchId',
  'Booking Date',
  'Booking Date TimeZone',
  // It prints none. Should one come it says something that nobody has listed, and that is told.
  'status',
];

/** Costs are printed without a sign: a commission, or what it is made of, never both. */
const fees = ['Commission (NC)', 'Markup (NC)', 'Scheme Fees (NC)', 'Interchange (NC)'];

const amounts: readonly AmountColumn[] = [
  {
    column: 'Gross Credit (GC)',
    debitColumn: 'Gross Debit (GC)',
    currencyColumn: 'transactionCurrency',
    role: 'transaction',
  },
  {
    column: 'Net Credit (NC)',
    debitColumn: 'Net Debit (NC)',
    currencyColumn: 'settlementCurrency',
    role: 'settlement',
  },
  ...fees.map((column): AmountColumn => ({ column, currencyColumn: 'settlementCurrency', role: 'fee' })),
];

/** Rows about an earlier payment carry its references, and their own in the columns for modifications. */
const modification = {
  transactionId: 'Modification Reference',
  originalTransactionRequestId: 'transactionRequestId',
  originalTransactionId: 'transactionId',
};
/** The references of such a payment are no key: several disputes may be about one, and have no id of the merchant's. */
const dispute: TypeRule = {
  ownId: false,
  matchBy: 'original',
  ids: { ...modification, transactionRequestId: null },
};
/** Where references should stand these rows carry words. */
const noRecord: TypeRule = {
  ownId: false,
  matchBy: 'none',
  noGross: true,
  ids: { transactionRequestId: null, transactionId: 'Modification Reference' },
};

const kinds = <T>(settlementDetails: readonly T[]) => ({
  transactionDetails: [],
  settlementDetails,
  settlementSummary: [],
});

/** Adyen's settlement details report, as its public documentation describes it. */
export const adyenSettlementDetails: Format = {
  name: 'adyen-settlement-details',
  id: 'adyen-settlement-details',
  extensions: ['csv', 'xlsx', 'zip'],
  directory: '/{merchantId}',
  names: kinds(['settlement_detail_report_batch_{batchId}']),
  portalNames: kinds([]),
  endMarker: null,
  columns: kinds(columns),
  required: kinds([
    'transactionId',
    'transactionRequestId',
    'paymentTime',
    'TimeZone',
    'transactionType',
    'Modification Reference',
    'transactionCurrency',
    'Gross Debit (GC)',
    'Gross Credit (GC)',
    'settlementCurrency',
    'Net Debit (NC)',
    'Net Credit (NC)',
    ...fees,
    'settlementBatchId',
  ]),
  aliases: {
    customerId: ['Merchant Account'],
    transactionId: ['Psp Reference'],
    transactionRequestId: ['Merchant Reference'],
    paymentTime: ['Creation Date'],
    transactionType: ['Type'],
    transactionCurrency: ['Gross Currency'],
    quotePrice: ['Exchange Rate'],
    settlementCurrency: ['Net Currency'],
    settlementBatchId: ['Batch Number'],
  },
  amounts: kinds(amounts),
  deducted: { '*': fees },
  priceNeedsNoPair: true,
  mayBeUnsettled: false,
  doneStatuses: [],
  times: { paymentTime: { zoneColumn: 'TimeZone' } },
  // Left out are abbreviations that mean several offsets, such as CST and IST: a guess would move a day's border.
  zones: {
    UTC: '+00:00',
    GMT: '+00:00',
    WET: '+00:00',
    BST: '+01:00',
    CET: '+01:00',
    CEST: '+02:00',
    EET: '+02:00',
    EEST: '+03:00',
    BRT: '-03:00',
    EST: '-05:00',
    EDT: '-04:00',
    PST: '-08:00',
    PDT: '-07:00',
    SGT: '+08:00',
    HKT: '+08:00',
    JST: '+09:00',
    AEST: '+10:00',
    AEDT: '+11:00',
  },
  typeNames: {
    Settled: 'PAYMENT',
    Refunded: 'REFUND',
    RefundedReversed: 'REFUND_REVERSAL',
    Chargeback: 'DISPUTE',
    SecondChargeback: 'DISPUTE',
    ChargebackReversed: 'DISPUTE_REVERSAL',
    MerchantPayout: 'PAYOUT',
  },
  types: {
    PAYMENT: { ownId: true, matchBy: 'own', grossSign: 1 },
    REFUND: {
      ownId: true,
      matchBy: 'own',
      grossSign: -1,
      ids: { ...modification, transactionRequestId: 'Modification Merchant Reference' },
    },
    REFUND_REVERSAL: { ...dispute, grossSign: 1 },
    DISPUTE: { ...dispute, grossSign: -1 },
    DISPUTE_REVERSAL: { ...dispute, grossSign: 1 },
    Fee: noRecord,
    MiscCosts: noRecord,
    DepositCorrection: noRecord,
    InvoiceDeduction: noRecord,
    // What could not be paid out goes to the next batch, and comes from the one before.
    Balancetransfer: { ...noRecord, isCarryOver: true },
    ReserveAdjustment: noRecord,
    PAYOUT: { ...noRecord, isPayout: true },
  },
};
