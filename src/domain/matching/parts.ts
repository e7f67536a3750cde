import { compareText, type Discrepancy, tell } from '../discrepancy.ts';
import type { ReportKind } from '../formats/format.ts';
import type { Awaited } from './run.ts';

/** A report of one batch or day, of one kind. */
export type Part = {
  /** The file's base name, with its extension. */
  readonly name: string;
  /** The provider or payment method in the name, if the name carries one: parts are numbered for each. */
  readonly psp: string | null;
  /** From 0; 0 where the name carries no number. */
  readonly seq: number;
  /** A portal export is a delivery of its own with the whole report. */
  readonly isPortal: boolean;
  readonly state: 'closed' | 'waiting' | 'refused' | 'duplicate' | 'withdrawn';
};

export type MissingPart = {
  readonly psp: string | null;
  readonly seq: number;
  readonly why: 'absent' | 'waiting' | 'refused' | 'withdrawn';
};

/** The reports of one kind that a batch or day reads. */
export type Reading<P extends Part> = {
  /** In the order in which their rows are counted. Empty: nothing of this kind is there. */
  readonly read: readonly P[];
  /** Closed, but their content is read from another report. */
  readonly duplicates: readonly P[];
  /** Gaps in what is read, and parts that cannot be read. None where nothing is there: then the kind itself is missing. */
  readonly missing: readonly MissingPart[];
};

/**
 * Returns the reports that a batch or day reads: the numbered parts if they are complete, else a portal export, else the existing parts.
 * Two names that differ only in extension are one part; the CSV wins while it can be read.
 */
export function readParts<P extends Part>(reports: readonly P[]): Reading<P> {
  const parts = readDelivery(reports.filter((report) => !report.isPortal));
  const portal = readDelivery(reports.filter((report) => report.isPortal));
  const partsAreWhole = parts.read.length > 0 && parts.missing.length === 0;
  const [chosen, other] = partsAreWhole || portal.read.length === 0 ? [parts, portal] : [portal, parts];
  // If nothing can be read, the kind itself is missing, not a part.
  const missing = chosen.read.length === 0 ? [] : chosen.missing;
  return { read: chosen.read, duplicates: [...chosen.duplicates, ...other.read, ...other.duplicates], missing };
}

function readDelivery<P extends Part>(reports: readonly P[]): Reading<P> {
  const read: P[] = [];
  const duplicates: P[] = [];
  const missing: MissingPart[] = [];
  const live = reports.filter((report) => report.state !== 'duplicate');
  const fills = (stem: string, seq: number) =>
    reports.some((report) => report.state === 'duplicate' && report.seq === seq && stemOf(report) === stem);
  // Parts are numbered for each name: for each psp, and for each date where one folder holds the reports of several.
  const names = [...Map.groupBy(live, stemOf)].map(([stem, parts]) => ({ stem, psp: parts[0]!.psp, parts }));
  names.sort((a, b) => compareText(a.psp ?? '', b.psp ?? '') || compareText(a.stem, b.stem));
  for (const { stem, psp, parts } of names) {
    const numbered = Map.groupBy(parts, (report) => report.seq);
    const last = Math.max(...numbered.keys());
    for (let seq = 0; seq <= last; seq++) {
      // Its content is read from a report of another name.
      if (!numbered.has(seq) && fills(stem, seq)) continue;
      const [best, ...rest] = (numbered.get(seq) ?? []).sort(compareChoices);
      if (best?.state === 'closed') {
        read.push(best);
        duplicates.push(...rest.filter((report) => report.state === 'closed'));
      } else {
        const isThere = best !== undefined && best.state !== 'duplicate';
        missing.push({ psp, seq, why: isThere ? best.state : 'absent' });
      }
    }
  }
  return { read, duplicates, missing };
}

/** A name without its number and extension. */
const stemOf = ({ name }: Part): string => name.replace(/\.\w+$/, '').replace(/_\d{3}$/, '');

/** Readable reports come first, then those that may become readable; of two, the CSV. */
const compareChoices = (a: Part, b: Part): number =>
  STATE_RANK[a.state] - STATE_RANK[b.state] || Number(!isCsv(a)) - Number(!isCsv(b)) || compareText(a.name, b.name);

const STATE_RANK = { closed: 0, waiting: 1, refused: 2, withdrawn: 3, duplicate: 4 } as const;

const isCsv = (report: Part): boolean => /\.csv$/i.test(report.name);

/** The parts that a kind of report lacks, one discrepancy each. */
export const missingParts = (kind: ReportKind, missing: readonly MissingPart[]): Discrepancy[] =>
  missing.map(({ psp, seq, why }) => {
    const number = String(seq).padStart(3, '0');
    const which = `Part ${number} of the ${KIND_WORDS[kind]}${psp === null ? '' : ` of ${psp}`}`;
    return tell('missing_part', `${which} ${WHY_WORDS[why]}.`, { field: kind, recorded: number });
  });

/** A day whose report is overdue. */
export const missingReport = (day: string): Discrepancy =>
  tell('missing_report', `The transaction details of ${day} are overdue.`, {});

/** Returns the kinds of reports that a batch lacks. A batch exists once one report of it is closed. */
export function missingReports(details: Reading<Part>, summary: Reading<Part>, hasSummaries = true): Discrepancy[] {
  const found: Discrepancy[] = [];
  if (details.read.length === 0) {
    found.push(tell('missing_details', 'The settlement details of this batch are missing.', {}));
  }
  if (summary.read.length === 0 && hasSummaries) {
    found.push(tell('missing_summary', 'The settlement summary of this batch is missing.', {}));
  }
  return found;
}

/** Returns what may still arrive, given what is missing; without a missing report, rows that the summary counts and no part contains. */
export const awaitedOf = (
  missing: readonly Pick<Discrepancy, 'kind' | 'field' | 'recorded'>[],
  rowsRead: number,
  rowsStated: number | null,
): Awaited[] =>
  missing.length === 0
    ? [
        {
          what: 'rows',
          kind: 'settlementDetails',
          part: null,
          rows: rowsStated === null ? null : rowsStated - rowsRead,
        },
      ]
    : missing.map(({ kind, field, recorded }) =>
        kind === 'missing_part'
          ? { what: 'part', kind: field as ReportKind, part: recorded, rows: null }
          : {
              what: 'report',
              kind: kind === 'missing_details' ? 'settlementDetails' : 'settlementSummary',
              part: null,
              rows: null,
            },
      );

const KIND_WORDS = {
  transactionDetails: 'transaction details',
  settlementDetails: 'settlement details',
  settlementSummary: 'settlement summary',
} as const;

const WHY_WORDS = {
  absent: 'is missing',
  waiting: 'is not completely uploaded',
  refused: 'cannot be read',
  withdrawn: 'was withdrawn',
} as const;
