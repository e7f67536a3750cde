import { dateIn } from '../../../domain/calendar/time.ts';
import type { Discrepancy } from '../../../domain/discrepancy.ts';
import { missingParts, missingReport, missingReports } from '../../../domain/matching/parts.ts';
import { missingPayout, statedPayout } from '../../../domain/matching/payout.ts';
import { addFacts } from '../../../domain/report/facts.ts';
import type { Schedule } from '../../context.ts';
import type { Inputs, ReadPart } from '../inputs.ts';
import type { Stated } from '../totals/stated.ts';
import { waitUntil } from './deadlines.ts';

/** What of a batch is there, what is not, and whether it may still come. */
export type Completeness = {
  readonly settlementDate: string | null;
  readonly isDetailsWhole: boolean;
  readonly isSummaryWhole: boolean;
  /** Reports and parts that are not there. */
  readonly absent: readonly Discrepancy[];
  /** When the wait for them ends, in milliseconds since 1970; null where nothing is waited for. */
  readonly waitsUntilMs: number | null;
  /** A report may still arrive, or is held: nothing that it could change is reported. */
  readonly isWaiting: boolean;
  /** What is reported as missing: not what may still arrive. */
  readonly missed: readonly Discrepancy[];
};

export function completenessOf(inputs: Inputs, stated: Stated, schedule: Schedule): Completeness {
  const { batch, isDay, details, summary, facts, due, held, isNothingRead } = inputs;
  const isDetailsWhole = !isDay && details.read.length > 0 && details.reading.missing.length === 0;
  const settlementDate = isDay ? null : settlementDateOf(details.read, summary.read);
  const absent = absentOf(inputs, stated);
  const lacksPayout =
    !stated.hasSummaries && isDetailsWhole && stated.payout !== null && statedPayout(stated.payout) === null;
  const missing = lacksPayout ? [missingPayout(), ...absent] : absent;
  const waitsUntilMs = isNothingRead
    ? null
    : waitUntil(due, schedule, {
        duty: isDay ? 'transactionDetails' : 'settlementReports',
        day: isDay ? batch.day : settlementDate,
        // A report without parts has all its rows; another part may contain the payout row.
        isMissing: absent.length > 0 || (lacksPayout && mayHaveParts(details.read, stated)),
        hasAllRows: isDay || !stated.hasSummaries || stated.sums?.count === facts.rows,
      });
  const isWaiting = waitsUntilMs !== null || held.length > 0;
  return {
    settlementDate,
    isDetailsWhole,
    isSummaryWhole: summary.read.length > 0 ? summary.reading.missing.length === 0 : stated.paid !== null,
    absent,
    waitsUntilMs,
    isWaiting,
    missed: isWaiting ? [] : due.isReportDue && isNothingRead ? [missingReport(batch.day!)] : missing,
  };
}

const absentOf = ({ isDay, isEmpty, details, summary }: Inputs, { hasSummaries }: Stated): Discrepancy[] => [
  ...(isDay || isEmpty ? [] : missingReports(details.reading, summary.reading, hasSummaries)),
  ...missingParts(isDay ? 'transactionDetails' : 'settlementDetails', details.reading.missing),
  ...missingParts('settlementSummary', summary.reading.missing),
];

/** By the name patterns of the format, the details may have several parts. */
const mayHaveParts = (details: readonly ReadPart[], { formats }: Stated): boolean =>
  details.some((part) => formats.get(part.format!)!.names.settlementDetails.some((name) => name.includes('{seq}')));

/** Returns the day of the directory, else of the rows in the source's time zone; of the details before the summary. */
function settlementDateOf(details: readonly ReadPart[], summary: readonly ReadPart[]): string | null {
  for (const parts of [details, summary]) {
    const day = parts.map((part) => part.day).find((date) => date !== null);
    if (day) return day;
  }
  for (const parts of [details, summary]) {
    if (parts.length === 0) continue;
    const facts = addFacts(parts.map((part) => part.facts!));
    const micros = facts.settledFrom ?? facts.paidFrom;
    if (micros !== null) return dateIn(BigInt(micros), parts[0]!.rules!.timeZone);
  }
  return null;
}
