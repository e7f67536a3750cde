import type { AmountRole, Format, ReportKind } from '../formats/format.ts';
import type { Columns } from '../report/header.ts';
import type { Instead, Lack } from '../report/unread.ts';
import type { Sums } from './totals.ts';

/** Names of the checks of a batch or day, in their order. docs/commands.md describes each. */
export type CheckName =
  | 'records'
  | 'unreported'
  | 'net'
  | 'fees'
  | 'feeBreakdown'
  | 'conversion'
  | 'summaryCount'
  | 'summarySettlementAmount'
  | 'summaryFeeAmount'
  | 'total';

/** A check; `why` is the reason if it was not possible, else null. */
export type Check = {
  readonly name: CheckName;
  readonly state: 'done' | 'notPossible';
  readonly why: string | null;
};

/** A report that was read, and what its header lacks. */
export type ReadHeader = {
  readonly kind: ReportKind;
  readonly format: Format;
  readonly columns: Columns;
  readonly lacks: readonly Lack[];
  readonly insteads: readonly Instead[];
};

/** What could be checked of a batch or day. */
export type Looked = {
  readonly details: readonly ReadHeader[];
  readonly rows: number;
  readonly matchableRows: number;
  readonly notDoneRows: number;
  readonly wrongUnit: boolean;
  /** Another report or part may arrive, so nothing that it could change is reported. */
  readonly isWaiting: boolean;
};

export type LookedAtSettlement = Looked & {
  readonly summary: readonly ReadHeader[];
  /** Reports of its format come with summaries. */
  readonly hasSummaries: boolean;
  readonly detailsWhole: boolean;
  readonly summaryWhole: boolean;
  /** Some row of the details states a fee. */
  readonly hasFees: boolean;
  /** Totals of the summary, or without one of the payout rows; null if neither states any. */
  readonly stated: Sums | null;
  /** The types of the summary's rows; null for a row without one. */
  readonly summaryTypes: readonly (string | null)[];
};

/** Builds a check; the first reason makes it impossible. */
const check = (name: CheckName, ...reasons: readonly (string | false | null | undefined)[]): Check => {
  const why = reasons.find((reason) => typeof reason === 'string') ?? null;
  return { name, state: why === null ? 'done' : 'notPossible', why: why as string | null };
};

export function checksOfDay(looked: Looked): Check[] {
  const none = looked.details.length === 0 && 'the report of the day is missing';
  return [
    check('records', none, noRecords(looked)),
    check('unreported', none, looked.isWaiting && 'another part of the report of the day may arrive'),
  ];
}

export function checksOfSettlement(looked: LookedAtSettlement): Check[] {
  const { details, summary, wrongUnit, stated, summaryTypes } = looked;
  const none = details.length === 0 ? NO_DETAILS : looked.rows === 0 && 'there are no rows';
  const unit = wrongUnit && 'the amounts are in another unit than those of the records';
  const pair = withoutPair(looked);
  const lacks = (of: Lack['of']) => lackOf(summary, of, 'the summary came');
  return [
    check('records', none, noRecords(looked)),
    check('net', none, unit),
    check('fees', none, lackOf(details, 'fees', CAME), withoutRole(details, 'fee')),
    check('feeBreakdown', none, lackOf(details, 'breakdown', CAME), withoutRole(details, 'breakdown')),
    check('conversion', none, unit, lackOf(details, 'converted', CAME), withoutRole(details, 'converted')),
    check('summaryCount', pair, lacks('count'), stated?.count === null && 'nothing states a count'),
    check('summarySettlementAmount', pair, stated?.settlementMinor === null && 'nothing states a settlement amount'),
    check(
      'summaryFeeAmount',
      pair,
      lacks('fees'),
      stated?.feeMinor === null && 'nothing states a fee',
      !looked.hasFees && 'no row of the settlement details states a fee',
    ),
    check(
      'total',
      withoutSummary(looked),
      summary.length === 0 && 'the payout is stated only once',
      !summaryTypes.includes('TOTAL') && 'the summary has no row TOTAL',
      summaryTypes.every((type) => type === 'TOTAL') && 'the summary has no rows beside TOTAL',
    ),
  ];
}

const CAME = 'the settlement details came';
const NO_DETAILS = 'the settlement details are missing';

function noRecords({ rows, matchableRows, notDoneRows, wrongUnit }: Looked): string | false {
  if (rows === 0) return 'there are no rows';
  if (wrongUnit) return 'the amounts are in another unit than those of the records';
  if (matchableRows > 0) return false;
  return notDoneRows > 0 ? `no row was compared, because ${notDoneRows} did not happen` : 'no row names a record';
}

function withoutSummary({ summary, hasSummaries, stated }: LookedAtSettlement): string | false {
  // Payout rows replace a summary.
  if (summary.length > 0 || stated !== null) return false;
  return hasSummaries ? 'the settlement summary is missing' : 'reports of this format come without a summary';
}

/** Returns why details and summary cannot be compared. */
function withoutPair(looked: LookedAtSettlement): string | false {
  const { details, detailsWhole, summaryWhole, isWaiting } = looked;
  const without = withoutSummary(looked);
  if (without) return without;
  if (details.length === 0) return NO_DETAILS;
  if (isWaiting) return 'another report or part of the batch may arrive';
  if (!detailsWhole) return 'a part of the settlement details is missing';
  return !summaryWhole && 'a part of the settlement summary is missing';
}

function lackOf(read: readonly ReadHeader[], of: Lack['of'], what: string): string | false {
  const part = read.find(({ lacks }) => lacks.some((lack) => lack.of === of));
  if (part === undefined) return false;
  const { column } = part.lacks.find((lack) => lack.of === of)!;
  const instead = part.insteads.find((other) => other.of === of);
  return `${what} without the column ${column}${instead ? `; ${instead.unread} is not read` : ''}`;
}

/** Returns the columns of this role that the format knows, and whether the header has one of them. */
function columnsOf({ kind, format, columns }: ReadHeader, role: AmountRole) {
  const wanted = format.amounts[kind].filter((amount) => amount.role === role).map(({ column }) => column);
  return { wanted, isPrinted: wanted.some((column) => columns.at[column] !== undefined) };
}

/** Returns whether a report has a column for amounts of this role, whatever its rows contain. */
export const prints = (read: readonly ReadHeader[], role: AmountRole): boolean =>
  read.some((header) => columnsOf(header, role).isPrinted);

/** Returns why amounts of this role are not checked: the format, or the header of a part, has none of their columns. */
function withoutRole(read: readonly ReadHeader[], role: AmountRole): string | false {
  for (const header of read) {
    const { wanted, isPrinted } = columnsOf(header, role);
    if (wanted.length === 0) return `the format ${header.format.name} has no columns for it`;
    if (!isPrinted) return `the settlement details have none of the columns for it: ${wanted.join(', ')}`;
  }
  return false;
}
