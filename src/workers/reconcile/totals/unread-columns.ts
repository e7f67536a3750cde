import type { Db } from '../../../adapters/postgres/connection.ts';
import type { ReadHeader } from '../../../domain/matching/checks.ts';
import { readHeader } from '../../../domain/report/header.ts';
import { insteadOf, lacksOf, moneyUnread, unreadColumn } from '../../../domain/report/unread.ts';
import { formatById } from '../../../store/formats.ts';
import { type Finding, recordFindings } from '../findings.ts';
import type { ReportState } from '../snapshot.sql.ts';

/** A report that is read, with its columns. */
export type PartHeader = ReadHeader & { readonly loadNo: number; readonly moneyUnread: readonly string[] };

/** The headers of reports that are read: which columns they have, lack, and hold without being asked. */
export async function headersOf(db: Db, parts: readonly ReportState[]): Promise<PartHeader[]> {
  const headers: PartHeader[] = [];
  for (const { kind, format: id, header, facts, loadNo } of parts) {
    const format = await formatById(db, id!);
    const columns = readHeader(header!, kind, format);
    const lacks = lacksOf(columns, kind, format);
    headers.push({
      kind,
      format,
      columns,
      lacks,
      insteads: insteadOf(lacks, columns, facts!.unread),
      loadNo: loadNo!,
      moneyUnread: kind === 'settlementDetails' ? moneyUnread(columns, facts!.unreadBesideNet) : [],
    });
  }
  return headers;
}

/** Tells of reports that lack the column of a check although something that nothing reads may be it. */
export async function tellUnread(db: Db, headers: readonly PartHeader[]): Promise<void> {
  const findings = headers.flatMap(({ loadNo, insteads }): Finding[] => {
    const discrepancy = unreadColumn(insteads);
    return discrepancy === null ? [] : [{ discrepancy, loadNo, ofMatchable: false }];
  });
  await recordFindings(db, findings);
}

/** What is said beside each wrong net of a report: columns that nothing reads, and that may be why. By load. */
export const besideNet = (headers: readonly PartHeader[]): ReadonlyMap<number, string> =>
  new Map(
    headers
      .filter(({ moneyUnread }) => moneyUnread.length > 0)
      .map(({ loadNo, moneyUnread }) => [loadNo, ` Unread columns may be the reason: ${moneyUnread.join(', ')}.`]),
  );
