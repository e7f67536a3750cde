import { sql } from 'kysely';
import { type Db, inPortions } from '../../../adapters/postgres/connection.ts';
import { addDays } from '../../../domain/calendar/calendar.ts';
import {
  compareOriginal,
  compareOwn,
  decideUnit,
  duplicateOf,
  type Report,
  unitMismatch,
  unreported,
} from '../../../domain/matching/match.ts';
import type { Part } from '../../../domain/matching/parts.ts';
import { MINOR_DIGITS } from '../../../domain/money/currency.ts';
import type { Facts } from '../../../domain/report/facts.ts';
import type { Due } from '../completeness/deadlines.ts';
import { findShares } from '../cross-batch/cumulative.sql.ts';
import { isMatchable, recordFrom, rowFrom, type StoredRow, type Told, tellAll } from '../findings.ts';
import * as query from '../snapshot.sql.ts';
import * as match from './candidates.sql.ts';

/** The parts of the details that are read, in order, and their loads. */
export type Details = {
  readonly read: readonly (query.ReportState & Part)[];
  readonly loads: readonly query.ReadLoad[];
  /** What is said beside a wrong net, by load. */
  readonly besideNet: ReadonlyMap<number, string>;
};

/** Tells what is wrong with rows: duplicates first, for they are compared no further. Returns whether the unit is wrong. */
export async function tellOfRows(db: Db, batch: query.BatchRow, details: Details, facts: Facts): Promise<boolean> {
  const { loads } = details;
  const others = await query.currentLoadsOf(db, batch.merchantNo, batch.no);
  const report: Report = { settlementCurrency: batch.currency, wrongUnit: false };
  await tellDuplicates(db, details, report);
  const hasReferences = await match.resolveReferences(db, loads, others);
  await match.findCandidates(db, loads, {
    merchantNo: batch.merchantNo,
    paidFrom: facts.paidFrom,
    paidTo: facts.paidTo,
    matchableRows: facts.matchableRows,
    hasReferences,
    isSettlement: batch.batchId !== null,
  });
  await match.findCancelled(db, loads, others, batch.merchantNo);

  const units = await match.countUnits(
    db,
    loads,
    JSON.stringify(Object.entries(MINOR_DIGITS).map(([currency, digits]) => ({ currency, digits }))),
  );
  const direction = decideUnit(units);
  if (direction) {
    const quotedIds = await match.someOffByUnit(db);
    await tellAll(db, [
      { discrepancy: unitMismatch(direction, units), loadNo: loads[0]!.loadNo, ofMatchable: false, quotedIds },
    ]);
  }
  for await (const rows of inPortions<CandidateRow>(db, match.CANDIDATES)) {
    await tellAll(
      db,
      rows.flatMap((row) => tellOfRow(row, { ...report, wrongUnit: direction !== null })),
    );
  }
  await match.tellFindings(db, loads, direction !== null, details.besideNet);
  await match.tellNotDone(db, loads, batch.merchantNo);
  // Amounts in the wrong unit say nothing, alone or added up.
  await findShares(db, direction === null && batch.batchId !== null ? loads : [], others, {
    merchantNo: batch.merchantNo,
    types: Object.keys(facts.types),
    hasReferences,
  });
  return direction !== null;
}

type CandidateRow = StoredRow & {
  original: string | null;
  r_type: string | null;
  r_original_request_id: string | null;
  o_type: string | null;
  reported_root: string | null;
  recorded_root: string | null;
  cancelled: boolean;
};

function tellOfRow(stored: CandidateRow, report: Report): Told[] {
  const row = rowFrom(stored);
  const found =
    row.matchBy === 'own'
      ? compareOwn(
          row,
          recordFrom(stored, 'r'),
          {
            cancelled: stored.cancelled,
            original: stored.original,
            originalRecorded: stored.o_type !== null,
            reportedRoot: stored.reported_root,
            recordedRoot: stored.recorded_root,
          },
          report,
        )
      : compareOriginal(row, stored.original, recordFrom(stored, 'o'), report);
  const quotedIds = [stored.request_id, stored.original, stored.r_original_request_id].filter((id) => id !== null);
  return found.map((discrepancy) => ({ discrepancy, loadNo: stored.load_no, ofMatchable: true, quotedIds }));
}

async function tellDuplicates(db: Db, details: Details, report: Report): Promise<void> {
  const fileOf = new Map(details.read.map((part) => [part.loadNo, part.file]));
  let told: Told[] = [];
  const settledKeys: { type: string; request_id: string }[] = [];
  const flush = async () => {
    await sql`insert into duplicate select * from unnest(${told.map((t) => t.loadNo)}::int[], ${told.map((t) => t.discrepancy.line)}::int[])`.execute(
      db,
    );
    await tellAll(db, told);
    await sql`insert into settled_key select * from unnest(${settledKeys.map((k) => k.type)}::text[], ${settledKeys.map((k) => k.request_id)}::text[])`.execute(
      db,
    );
    told = [];
    settledKeys.length = 0;
  };
  if ((await match.findTwinKeys(db, details.loads)) === 0) return;
  // A key may stand in all rows of a report: only the first place of each of its identities is kept.
  let key: bigint | null = null;
  const firsts = new Map<string, { loadNo: number; line: number }>();
  const identities = new Map<string, number>();
  for await (const rows of inPortions<TwinRow>(db, match.twinRows(details.loads))) {
    for (const stored of rows) {
      if (stored.key_hash !== key) {
        key = stored.key_hash;
        firsts.clear();
        identities.clear();
      }
      const identity = rowIdentity(stored);
      const first = firsts.get(identity);
      if (first) {
        const row = rowFrom(stored);
        const file = first.loadNo === stored.load_no ? null : (fileOf.get(first.loadNo) ?? null);
        const discrepancy = duplicateOf(row, { line: first.line, file }, report);
        told.push({ discrepancy, loadNo: stored.load_no, ofMatchable: isMatchable(row.matchBy) });
        continue;
      }
      firsts.set(identity, { loadNo: stored.load_no, line: stored.line });
      if (stored.request_id === null) continue;
      const settled = `${stored.type} ${stored.request_id}`;
      const count = (identities.get(settled) ?? 0) + 1;
      identities.set(settled, count);
      if (count === 2) settledKeys.push({ type: stored.type, request_id: stored.request_id });
    }
    if (told.length + settledKeys.length > 5_000) await flush();
  }
  await flush();
}

type TwinRow = StoredRow & { key_hash: bigint };

/** Batch or day are the same for all rows here. A row without a request id is the same one only if all that it says agrees. */
const rowIdentity = (row: TwinRow): string =>
  JSON.stringify([
    row.type,
    row.transaction_id,
    row.request_id,
    ...(row.request_id !== null
      ? []
      : [
          row.original_request_id,
          row.original_transaction_id,
          row.amount_minor,
          row.currency,
          row.settlement_minor,
          row.fee_minor,
          row.paid_at_micros,
        ].map((value) => value?.toString() ?? null)),
  ]);

/** Tells of records of this day that are in no report. */
export async function tellOfRecords(
  db: Db,
  batch: query.BatchRow,
  details: Omit<Details, 'besideNet'>,
  facts: Facts,
  due: Due,
): Promise<void> {
  const day = batch.day!;
  const neighbours = [addDays(day, -1), addDays(day, 1)];
  const others = (await query.currentLoadsOf(db, batch.merchantNo, batch.no)).filter(
    (load) => !load.isSettlement && neighbours.includes(load.day ?? ''),
  );
  const missing = neighbours.filter((neighbour) => !others.some((load) => load.day === neighbour));
  const types = [
    'PAYMENT',
    'CAPTURE',
    'REFUND',
    ...['AUTHORIZATION', 'CANCEL', 'VOID'].filter((type) => type in facts.types),
  ];
  const timeZone = details.read[0]!.rules!.timeZone;
  // Reports of the day may come from several sources; what is due in one whose report is not there yet is not missed.
  const elsewhere = due.others
    .map(({ source }) => source)
    .filter((name) => !details.read.some(({ source }) => source === name));
  const statement = query.unreportedRecords([...details.loads, ...others], {
    merchantNo: batch.merchantNo,
    day,
    timeZone,
    types,
    whose: query.notOf(elsewhere),
  });
  for await (const rows of inPortions<Record<string, unknown>>(db, statement)) {
    await tellAll(
      db,
      rows.map((row) => {
        const record = recordFrom(row, 'r')!;
        const discrepancy = unreported(record, missing);
        return { discrepancy, loadNo: null, ofMatchable: false, quotedIds: [record.requestId] };
      }),
    );
  }
}
