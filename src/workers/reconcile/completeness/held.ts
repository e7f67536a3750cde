import type { ReportKind } from '../../../domain/formats/format.ts';
import type { Reading } from '../../../domain/matching/parts.ts';
import type { Awaited } from '../../../domain/matching/run.ts';
import type { ReportState } from '../snapshot.sql.ts';

/**
 * The reports of a batch that were found and cannot be read for now: they were given up, or what they need is away. Nobody knows what
 * they say, so the batch waits for them. A portal export brings nothing where the parts are whole.
 */
export const heldOf = (
  reports: readonly ReportState[],
  readingOf: (kind: ReportKind) => Reading<ReportState>,
): Awaited[] =>
  reports.flatMap(({ kind, isPortal, heldFile, heldWhy }) => {
    if (heldFile === null || heldWhy === null) return [];
    const { read, missing } = readingOf(kind);
    if (isPortal && read.length > 0 && missing.length === 0) return [];
    return [{ what: 'report' as const, kind, part: null, rows: null, file: heldFile, why: heldWhy }];
  });

/** What else a batch waits for that waits for these, too: a kind of which one is held is told once. */
export const besideHeld = <M extends { readonly kind: string; readonly field: string | null }>(
  missing: readonly M[],
  held: readonly Awaited[],
): M[] => {
  const kindOf = ({ kind, field }: M) =>
    kind === 'missing_details' ? 'settlementDetails' : kind === 'missing_summary' ? 'settlementSummary' : field;
  return missing.filter((one) => !held.some(({ kind }) => kind === kindOf(one)));
};
