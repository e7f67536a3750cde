import type { Kind } from '../../domain/discrepancy.ts';

/** What a kind of discrepancy means to whoever has to explain the money: one sentence a kind. */
export const KIND_DESCRIPTIONS: Readonly<Record<Kind, string>> = {
  unknown_transaction:
    'The provider reports it, and our records do not know it: money without an order, or an order we lost.',
  amount_mismatch: 'Both sides have it, with different amounts.',
  currency_mismatch: 'Both sides have it, in different currencies.',
  status_mismatch: 'The provider says it is done, and our records say it is not.',
  unknown_status:
    'The report says of it a word that nobody has told us the meaning of: we took it for done and compared it so.',
  original_mismatch: 'The provider counts it to another payment than our records do.',
  missing_key: 'The report leaves out the id by which we would find it in our records.',
  sign_mismatch: 'Money goes the wrong way: a refund adds to the payout, or a sale takes from it, or is reported so.',
  unknown_type:
    'Lines of a type that nobody has told us the meaning of move money, and name nothing that we could compare them with.',
  unit_mismatch:
    'All amounts of a report are too large or too small by the decimals of their currency, as if cents were read as dollars.',
  duplicate_row: 'The same row stands in the report again, so it may be paid or taken twice.',
  settled_twice: 'It was settled before, in an earlier payout or under another id.',
  orphan_row: 'It belongs to a payment that our records do not know.',
  over_refunded: 'More was given back than the customer had paid: by refunds, or by refunds and disputes together.',
  over_captured: 'More was captured than the customer had authorized.',
  net_mismatch: 'What is settled is not the amount less its fees.',
  fee_breakdown_mismatch: 'Interchange, scheme fee and markup do not add up to the fee.',
  conversion_mismatch: 'The converted amount does not follow from the exchange rate, or the rate is not said.',
  unread_column: 'A report lacks the column of a check, and holds one that nothing reads: it may have been renamed.',
  refused_row: 'A line of the report cannot be read, so nothing of it is counted.',
  summary_mismatch: 'The rows of a payout do not add up to what its summary says.',
  total_mismatch: "The summary's TOTAL is not the sum of its own lines.",
  missing_summary: 'The rows of a payout came, its summary did not.',
  missing_details: 'The summary of a payout came, its rows did not.',
  missing_part: 'A report came in parts, and one of them is not there.',
  unreported_transaction: 'Our records have it as done, and the provider does not report it.',
  unsettled_transaction: 'Our records have it as done, and it is in no payout though it should be by now.',
  settled_not_reported: 'It is in a payout, and the transaction report of its day does not list it.',
  missing_report: 'The report of a day did not come, though it should have by now.',
};
