import { type Discrepancy, sayAmounts, tell } from '../discrepancy.ts';
import { type Currency, digitsOf } from '../money/currency.ts';
import { formatAmount, type Money, magnitude } from '../money/money.ts';
import type { LedgerRecord } from '../report/record-types.ts';
import type { Row } from '../report/row.ts';

/** What matching needs to know about the report of a row. */
export type Report = {
  /** The batch's; null in a transaction report. */
  readonly settlementCurrency: Currency | null;
  /** The report has a `unit_mismatch`, reported once: the amounts of its rows are not compared. */
  readonly wrongUnit: boolean;
};

/** What matching needs to know about a row with its own request id, beside its record. */
export type OwnFacts = {
  /** A CANCEL or VOID of this request id is recorded or reported. */
  readonly cancelled: boolean;
  /** Request id of the original that the row names, as printed or by its `originalTransactionId`; null if it names none or none was found. */
  readonly original: string | null;
  /** The merchant has a record of that original. */
  readonly originalRecorded: boolean;
  /** The payment at the end of the row's chain of originals; null if no record continues it: the original itself is then the end. */
  readonly reportedRoot: string | null;
  /** The same for the original that the record names. */
  readonly recordedRoot: string | null;
};

/** Compares a row that has its own request id with the merchant's record of that type and id. */
export function compareOwn(row: Row, record: LedgerRecord | null, facts: OwnFacts, report: Report): Discrepancy[] {
  if (!record) return [unknown(row, report)];
  const found: Discrepancy[] = [];
  // An instalment prints its part, or the whole of which it settles a part: only the sum of all instalments can be compared.
  const isPart = row.instalments > 1 && report.settlementCurrency !== null;
  found.push(...compareAmounts(row, record, report, isPart ? 'any' : 'equal'));
  if (record.status !== 'SUCCESS' && !(record.status === 'CANCELLED' && facts.cancelled)) {
    found.push(
      tell(
        'status_mismatch',
        `The provider reports this ${record.type} as done, but the merchant's record is ${record.status}.`,
        {
          ...named(row),
          field: 'status',
          reported: 'SUCCESS',
          recorded: record.status,
        },
      ),
    );
  }
  const { original } = facts;
  if (original === null) return found;
  const recordedOriginal = record.originalRequestId;
  if (recordedOriginal !== null && (facts.reportedRoot ?? original) !== (facts.recordedRoot ?? recordedOriginal)) {
    found.push(
      tell(
        'original_mismatch',
        `The report assigns this ${row.type} to ${original}, the merchant's record to ${recordedOriginal}; these are different payments.`,
        { ...named(row), field: 'originalTransactionRequestId', reported: original, recorded: recordedOriginal },
      ),
    );
  }
  if (!facts.originalRecorded) found.push(orphan(row, original, report));
  return found;
}

/**
 * Compares a reversal or dispute with the merchant's record of the payment that it names. It may be about a part of that payment, so
 * only a larger amount is wrong; the status is not compared, because a disputed payment was done.
 * `original` is the request id that it names, as printed or by its `originalTransactionId`; null if none was found.
 */
export const compareOriginal = (
  row: Row,
  original: string | null,
  record: LedgerRecord | null,
  report: Report,
): Discrepancy[] => (record ? compareAmounts(row, record, report, 'at most') : [orphan(row, original, report)]);

function compareAmounts(
  row: Row,
  record: LedgerRecord,
  report: Report,
  rule: 'equal' | 'at most' | 'any',
): Discrepancy[] {
  if (row.amountMinor === null || row.currency === null) return [];
  if (row.currency !== record.currency) {
    return [
      tell(
        'currency_mismatch',
        `The report has this ${row.type} in ${row.currency}, the merchant's ${record.type} is in ${record.currency}.`,
        { ...named(row), field: 'transactionCurrency', reported: row.currency, recorded: record.currency },
      ),
    ];
  }
  const reported = magnitude(row.amountMinor);
  const recorded = magnitude(record.amountMinor);
  if (report.wrongUnit || rule === 'any') return [];
  if (rule === 'equal' ? reported === recorded : reported <= recorded) return [];
  const amounts = sayAmounts(reported, recorded, row.currency);
  const message =
    rule === 'equal'
      ? `The report has ${amounts.reported} ${row.currency}, the merchant's record ${amounts.recorded} ${row.currency}.`
      : `This ${row.type} of ${amounts.reported} ${row.currency} exceeds the ${record.type} that it belongs to, ${amounts.recorded} ${row.currency}.`;
  return [tell('amount_mismatch', message, { ...named(row), field: 'transactionAmount', ...amounts })];
}

function unknown(row: Row, report: Report): Discrepancy {
  return tell('unknown_transaction', `The merchant has no record of ${row.type} ${row.requestId}.`, {
    ...named(row),
    ...amountOf(row),
    stake: stakeOf(row, report),
  });
}

const amountOf = ({ amountMinor, currency }: Row) =>
  amountMinor !== null && currency !== null
    ? { reported: formatAmount(magnitude(amountMinor), currency), currency }
    : {};

function orphan(row: Row, original: string | null, report: Report): Discrepancy {
  // If only the provider's id is printed and no reported row has it, the merchant's id is unknown: only the message can name it.
  const which = original ?? (row.originalTransactionId && `the provider's transaction ${row.originalTransactionId}`);
  const message = which
    ? `This ${row.type} belongs to ${which}, which is not in the merchant's records.`
    : `This ${row.type} does not name the payment that it belongs to.`;
  return tell('orphan_row', message, {
    ...named(row),
    field: 'originalTransactionRequestId',
    reported: original ?? row.originalTransactionId,
    stake: stakeOf(row, report),
  });
}

/**
 * A row that repeats the identity of an earlier one in its batch or day. `first` is that one, with its file if it is another;
 * `isOther`: the provider gives the two different transaction ids.
 */
export const duplicateOf = (
  row: Row,
  first: { readonly line: number; readonly file: string | null; readonly isOther: boolean },
  report: Report,
): Discrepancy => {
  const where = `line ${first.line}${first.file === null ? '' : ` of ${first.file}`}`;
  return tell(
    'duplicate_row',
    first.isOther
      ? `${row.type} ${row.requestId} is already in the report, under another transaction id, on ${where}.`
      : `This ${row.type} is already in the report, on ${where}.`,
    { ...named(row), stake: stakeOf(row, report) },
  );
};

/** A row whose key was settled before: in `otherBatchId`, which is this batch if only the transaction id differs. */
export const settledTwice = (row: Row, thisBatchId: string, otherBatchId: string, report: Report): Discrepancy =>
  tell(
    'settled_twice',
    thisBatchId === otherBatchId
      ? `${row.type} ${row.requestId} is settled a second time in this batch, under another transaction id.`
      : `${row.type} ${row.requestId} was already settled in batch ${otherBatchId}.`,
    {
      ...named(row),
      field: 'settlementBatchId',
      reported: thisBatchId,
      recorded: otherBatchId,
      stake: stakeOf(row, report),
    },
  );

/**
 * A payment of which more was refunded than paid: `sumMinor` by refunds, `disputedMinor` by disputes, if these took more than they
 * returned. `line` is the row that first exceeded it.
 */
export function overRefunded(
  payment: LedgerRecord,
  { sumMinor, disputedMinor }: { readonly sumMinor: bigint; readonly disputedMinor: bigint },
  line: number,
): Discrepancy {
  const { currency } = payment;
  const disputed = disputedMinor > 0n ? disputedMinor : 0n;
  const amounts = sayAmounts(sumMinor + disputed, magnitude(payment.amountMinor), currency);
  const disputes = disputed > 0n ? ` and disputes of ${formatAmount(disputed, currency)} ${currency}` : '';
  return tell(
    'over_refunded',
    `Refunds of ${formatAmount(sumMinor, currency)} ${currency}${disputes} were settled for ${payment.type} ${payment.requestId} of ${amounts.recorded} ${currency}.`,
    { line, type: payment.type, requestId: payment.requestId, ...amounts },
  );
}

/** An authorization of which more was captured than authorized; `line` is the row that first exceeded it. */
export function overCaptured(authorization: LedgerRecord, sumMinor: bigint, line: number): Discrepancy {
  const { type, requestId, currency } = authorization;
  const amounts = sayAmounts(sumMinor, magnitude(authorization.amountMinor), currency);
  return tell(
    'over_captured',
    `Captures of ${amounts.reported} ${currency} were settled for ${type} ${requestId} of ${amounts.recorded} ${currency}.`,
    { line, type, requestId, ...amounts },
  );
}

/** A key whose instalments do not add up to its record. `count`: all of this many are there; null: they exceed it already. */
export function wrongInstalments(
  row: Pick<Row, 'line' | 'type' | 'requestId' | 'transactionId'>,
  record: LedgerRecord,
  sumMinor: bigint,
  count: number | null,
): Discrepancy {
  const { currency } = record;
  const amounts = sayAmounts(sumMinor, magnitude(record.amountMinor), currency);
  const which = count === null ? 'Instalments' : `All ${count} instalments`;
  return tell(
    'amount_mismatch',
    `${which} of ${row.type} ${row.requestId} add up to ${amounts.reported} ${currency}, the merchant's record has ${amounts.recorded} ${currency}.`,
    { ...named(row), field: 'transactionAmount', ...amounts },
  );
}

/** A settled row that the transaction reports of its payment's day and the neighbouring days do not contain. */
export function notReported(row: Row, day: string, report: Report): Discrepancy {
  return tell(
    'settled_not_reported',
    `${row.type} ${row.requestId} of ${day} is settled, but the transaction reports of that day and its neighbours do not contain it.`,
    { ...named(row), ...amountOf(row), stake: stakeOf(row, report) },
  );
}

/** A record that no report contains. `missingNeighbours` are the neighbouring days whose reports are missing. */
export function unreported(record: LedgerRecord, missingNeighbours: readonly string[]): Discrepancy {
  const amountMinor = magnitude(record.amountMinor);
  const recorded = formatAmount(amountMinor, record.currency);
  const hint = missingNeighbours.length
    ? ` (the report of ${missingNeighbours.join(' and ')}, which may contain it, is missing)`
    : '';
  return tell(
    'unreported_transaction',
    `The merchant recorded ${record.type} ${record.requestId} of ${recorded} ${record.currency} as done, but the transaction report does not contain it${hint}.`,
    {
      type: record.type,
      requestId: record.requestId,
      recorded,
      currency: record.currency,
      stake: { amountMinor, currency: record.currency },
    },
  );
}

/** A record without a settlement although it was due: `settled` is the latest settlement date. */
export function unsettled(record: LedgerRecord, settled: string): Discrepancy {
  const amountMinor = magnitude(record.amountMinor);
  const recorded = formatAmount(amountMinor, record.currency);
  return tell(
    'unsettled_transaction',
    `The merchant recorded ${record.type} ${record.requestId} of ${recorded} ${record.currency} as done; it was due to be settled by ${settled}, and no settlement contains it.`,
    {
      type: record.type,
      requestId: record.requestId,
      recorded,
      currency: record.currency,
      stake: { amountMinor, currency: record.currency },
    },
  );
}

/** `up`: the report's amount is 10^digits times the record's; `down`: the other way; `none`: neither. */
export type UnitFactor = 'up' | 'down' | 'none';

/** Returns what a matched row shows about its report's unit; null if it shows nothing: another currency, no digits, no amount. */
export function unitFactorOf(row: Row, record: LedgerRecord): UnitFactor | null {
  if (!row.amountMinor || row.currency === null || row.currency !== record.currency) return null;
  const digits = digitsOf(row.currency);
  if (digits === 0) return null;
  const factor = 10n ** BigInt(digits);
  const reported = magnitude(row.amountMinor);
  const recorded = magnitude(record.amountMinor);
  return reported === recorded * factor ? 'up' : reported * factor === recorded ? 'down' : 'none';
}

/** How many rows of a report (all its parts) show its unit, and what they show. */
export type UnitCounts = { readonly matched: number; readonly up: number; readonly down: number };

/** Returns whether the whole report is in the other unit. With fewer than five rows a few wrong amounts would look the same. */
export function decideUnit({ matched, up, down }: UnitCounts): 'up' | 'down' | null {
  if (matched < 5) return null;
  return up * 10 >= matched * 9 ? 'up' : down * 10 >= matched * 9 ? 'down' : null;
}

/** Reported once for a report, on its first part. */
export const unitMismatch = (direction: 'up' | 'down', counts: UnitCounts): Discrepancy =>
  tell(
    'unit_mismatch',
    direction === 'up'
      ? `${counts.up} of ${counts.matched} matched amounts are too large by the decimals of their currency (100 times for USD): the report seems to be in minor units, so set amountUnit to minor and replay.`
      : `${counts.down} of ${counts.matched} matched amounts are too small by the decimals of their currency (100 times for USD): the report seems to be in major units, so set amountUnit to major and replay.`,
    {},
  );

/** Returns the money at stake in a row: its settlement amount, else its transaction amount, as a magnitude. */
function stakeOf(row: Row, { settlementCurrency }: Report): Money | null {
  if (row.settlementMinor !== null && settlementCurrency !== null) {
    return { amountMinor: magnitude(row.settlementMinor), currency: settlementCurrency };
  }
  if (row.amountMinor === null || row.currency === null) return null;
  return { amountMinor: magnitude(row.amountMinor), currency: row.currency };
}

const named = ({
  line,
  type,
  requestId,
  transactionId,
}: Pick<Row, 'line' | 'type' | 'requestId' | 'transactionId'>) => ({
  line,
  type,
  requestId,
  transactionId,
});
