import { apo } from './apo.ts';
import type { AmountColumn, Format, TypeRule } from './format.ts';

const transaction: AmountColumn = {
  column: 'transactionAmountValue',
  currencyColumn: 'transactionCurrency',
  role: 'transaction',
};
const converted: AmountColumn = {
  column: 'convertedTransactionAmountValue',
  currencyColumn: 'convertedCurrency',
  role: 'converted',
};

/** Each fee has a currency column; some do not follow the rule by which the others are named. */
const FEES: readonly (readonly [column: string, currencyColumn: string])[] = [
  ['paymentMethodFeeAmountValue', 'paymentMethodFeeCurrency'],
  ['interchangeFeeAmountValue', 'interchangeFeeCurrency'],
  ['schemeFeeAmountValue', 'schemeFeeCurrency'],
  ['acquirerMarkupAmountValue', 'acquirerMarkupCurrency'],
  ['processingFeeAmountValue', 'processingFeeCurrency'],
  ['taxFeeAmountValue', 'taxFeeCurrency'],
  ['refundFeeAmountValue', 'refundFeeCurrency'],
  ['disputeHandlingFee', 'disputeHandlingFeeCurrency'],
  ['financingFeeAmountValue', 'financingFeeCurrency'],
  ['rdrFeeAmountValue', 'rdrFeeCurrency'],
  ['anticipationFeeAmountValue', 'anticipationFeeCurrency'],
  ['riskDecisionServiceFeeAmountValue', 'riskDecisionServiceFeeCurrency'],
  ['riskManagementFeeAmountValue', 'riskManagementFeeCurrency'],
  ['cdrnFeeAmountValue', 'cdrnFeeCurrency'],
  ['iofFeeAmountValue', 'iofFeeCurrency'],
  ['withholdingTaxAmountValue', 'withholdingTaxFeeCurrency'],
  ['fxFeeAmountValue', 'fxFeeAmountCurrency'],
  ['rtauServiceFeeAmountValue', 'rtauServiceFeeCurrency'],
  ['ntServiceFeeAmountValue', 'ntServiceFeeCurrency'],
  ['revenueBoosterServiceFeeAmountValue', 'revenueBoosterServiceFeeCurrency'],
];

const settlement: readonly AmountColumn[] = [
  { column: 'settlementAmountValue', currencyColumn: 'settlementCurrency', role: 'settlement' },
  ...FEES.map(([column, currencyColumn]) => ({ column, currencyColumn, role: 'fee' as const })),
];

const columnsOf = (amounts: readonly AmountColumn[]) =>
  amounts.flatMap(({ column, currencyColumn }) => [column, currencyColumn]);

/** Columns that both details reports print. */
const details = [
  'customerId',
  'acquirer',
  'acquirerReferenceNo',
  'referenceMerchantId',
  'referenceStoreId',
  'transactionId',
  'transactionRequestId',
  'referenceTransactionId',
  'originalTransactionRequestId',
  'paymentMethodType',
  'pspName',
  'transactionType',
  'status',
  'paymentTime',
  'transactionUpdateTime',
  'transactionCreationTime',
  'productCode',
  'issuingCountry',
  'cardBrand',
  'funding',
];

/** The payment, and all that is done with it, share one transaction id: so it names the original, too. */
const aboutAPayment = [
  'CAPTURE',
  'REFUND',
  'CANCEL',
  'VOID',
  'PAYMENT_REVERSAL',
  'REFUND_REVERSAL',
  'DISPUTE',
  'DISPUTE_REVERSAL',
  'RAPID_DISPUTE_RESOLUTION',
  'CDRN',
];
const types = Object.entries(apo.types).map(([name, rule]): [string, TypeRule] => [
  name,
  aboutAPayment.includes(name) ? { ...rule, ids: { originalTransactionId: 'transactionId' } } : rule,
]);

/** Reports of Antom in the newer layout. */
export const antom: Format = {
  ...apo,
  name: 'antom',
  id: 'antom',
  portalNames: {
    transactionDetails: [],
    settlementDetails: ['SETTLEMENT_DETAIL_{batchId}_{date}'],
    settlementSummary: [],
  },
  columns: {
    // Amounts that a transaction will settle with stand there too, as far as they are known; nothing is read from them.
    transactionDetails: [...details, ...columnsOf([transaction])],
    settlementDetails: [
      'settlementBatchId',
      ...details,
      'settlementTime',
      'quoteCurrencyPair',
      'quotePrice',
      'installmentsNum',
      ...columnsOf([transaction, converted, ...settlement]),
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
  aliases: {
    acquirer: ['PSP'],
    acquirerReferenceNo: ['ARN'],
    pspName: ['wallet'],
    // What was paid was paid when it was complete; records say the same of themselves.
    paymentTime: ['transactionCompletionTime', 'transactionUpdateTime', 'transactionCreationTime'],
    settlementTime: ['settlementInitiatedDate'],
    status: ['transactionStatus'],
  },
  amounts: {
    transactionDetails: [transaction],
    settlementDetails: [transaction, converted, ...settlement],
    settlementSummary: settlement,
  },
  deducted: {},
  mayBeUnsettled: true,
  doneStatuses: ['SUCCESS', 'SUCCEEDED', 'SUCCESSFUL'],
  times: { settlementTime: { mayBeDate: true } },
  types: Object.fromEntries(types),
};
