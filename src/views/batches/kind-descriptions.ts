import type { Kind } from '../../domain/discrepancy.ts';

/** What each kind of discrepancy means, in one sentence for the people who have to explain the money. */
export const KIND_DESCRIPTIONS: Readonly<Record<Kind, string>> = {
  unknown_transaction:
    'The provider reports a transaction that is not in your records: money without an order, or a lost order.',
  amount_mismatch: 'Report and record have different amounts.',
  currency_mismatch: 'Report and record have different currencies.',
  status_mismatch: 'The provider reports it as done, but your record says it is not.',
  unknown_status: 'The report has a status that its format does not define. The row was compared as if it were done.',
  original_mismatch: 'Report and record assign it to different payments.',
  missing_key: 'The report lacks the id that is needed to find the record.',
  sign_mismatch: 'The amount has the wrong sign: a refund adds money to the payout, or a sale takes money from it.',
  unknown_type:
    'Rows of a type that the format does not define move money and name no transaction to compare them with.',
  unit_mismatch:
    'All amounts of a report are too large or too small by the decimals of their currency, as if cents were read as dollars.',
  duplicate_row: 'The same row appears again in the report, so it may be paid or charged twice.',
  settled_twice: 'The transaction was settled before, in an earlier batch or under another transaction id.',
  orphan_row: 'The row refers to a payment that is not in your records.',
  over_refunded: 'More was refunded than the customer paid: by refunds, or by refunds and disputes together.',
  over_captured: 'More was captured than the customer authorized.',
  net_mismatch: 'The settled amount is not the amount less its fees.',
  fee_breakdown_mismatch: 'Interchange, scheme fee and markup do not add up to the fee.',
  conversion_mismatch: 'The converted amount does not follow from the exchange rate, or the rate is missing.',
  unread_column:
    'A report lacks a column that a check needs and has another column that nothing reads: it may have been renamed.',
  refused_row: 'A row of the report cannot be read, so its amounts are not counted.',
  summary_mismatch: 'The rows of a batch do not add up to its summary.',
  total_mismatch: "The summary's TOTAL is not the sum of its other rows.",
  missing_summary: 'The details of a batch arrived, but not its summary.',
  missing_details: 'The summary of a batch arrived, but not its details.',
  missing_part: 'One part of a report is missing.',
  unreported_transaction: 'Your records have it as done, but the provider does not report it.',
  unsettled_transaction: 'Your records have it as done, but its settlement is overdue.',
  settled_not_reported: 'It was settled, but the transaction report of its day does not contain it.',
  missing_report: 'The transaction report of a day is overdue.',
  payout_missing: 'The payout of a batch is overdue: no bank entry pays it.',
  payout_amount_mismatch: 'Another amount arrived at the bank than the batch pays out.',
  payout_twice: 'The whole payout of a batch arrived at the bank more than once.',
  payout_returned: 'The payout of a batch arrived and was taken back.',
  unexplained_credit: 'A payer sent money that no batch explains.',
  statement_gap: 'A bank statement does not follow the one before it: one between them is missing.',
  statement_unbalanced: 'The entries of a bank statement do not lead from its opening to its closing balance.',
  missing_statement: 'An account has no statement for a banking day that is past.',
};
