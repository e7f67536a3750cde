import { type RawBuilder, sql } from 'kysely';
import type { Db } from '../../../adapters/postgres/connection.ts';
import { fetchBatches } from '../../../adapters/postgres/cursors.ts';
import type { Format } from '../../../domain/formats/format.ts';
import { returnsTheWrongWay, unknownType, wrongSigns } from '../../../domain/matching/whole-report.ts';
import { directionIn } from '../../../domain/report/cells.ts';
import { addFacts } from '../../../domain/report/facts.ts';
import type { BatchRow } from '../../../store/batches.ts';
import { partOf, type ReadLoad, rowsOf } from '../../../store/loads.ts';
import { isMatchable, rowFrom, type StoredRow } from '../../../store/stored-row.ts';
import { recordFindings } from '../findings.ts';
import type { ReportState } from '../snapshot.sql.ts';

type Details = { readonly read: readonly ReportState[]; readonly loads: readonly ReadLoad[] };
type Formats = ReadonlyMap<string, Format>;

/** Tells what only all rows of the details together show. Of a batch that waits one more part could change it. */
export async function tellOfAllRows(db: Db, batch: BatchRow, details: Details, formats: Formats): Promise<void> {
  await tellUnknownTypes(db, batch, details, formats);
  if (batch.batchId === null) await tellWrongReturns(db, details, formats);
}

/** Types that stand in the parts which were read as a format, with those parts. Ordinary reports need no look at their rows. */
function typesOf({ read, loads }: Details, formats: Formats, isWanted: (format: Format, type: string) => boolean) {
  return [...formats].flatMap(([id, format]) => {
    const parts = read.filter((part) => part.format === id);
    const types = Object.keys(addFacts(parts.map((part) => part.facts!)).types).filter((type) =>
      isWanted(format, type),
    );
    const own = loads.filter(({ loadNo }) => parts.some((part) => part.loadNo === loadNo));
    return types.length === 0 ? [] : [{ types, loads: own }];
  });
}

async function tellUnknownTypes(db: Db, batch: BatchRow, details: Details, formats: Formats): Promise<void> {
  const unlisted = typesOf(details, formats, (format, type) => !Object.hasOwn(format.types, type));
  const found = new Map<string, Unlisted>();
  for (const { types, loads } of unlisted)
    for (const more of await unlistedRows(db, details.loads, loads, types))
      found.set(more.type, together(found.get(more.type), more));
  await recordFindings(
    db,
    [...found.values()].map(({ type, rows, settlementMinor, place: [, loadNo = null, line = 0] }) => {
      const minor = batch.batchId === null ? null : BigInt(settlementMinor);
      return {
        discrepancy: unknownType({ type, rows, settlementMinor: minor, line }, batch.currency),
        loadNo,
        ofMatchable: false,
      };
    }),
  );
}

/** Rows of these types that are done, name nothing and move money. `place`: part, load and line of the first. */
type Unlisted = { type: string; rows: number; settlementMinor: string; place: readonly number[] };

async function unlistedRows(
  db: Db,
  all: readonly ReadLoad[],
  loads: readonly ReadLoad[],
  types: readonly string[],
): Promise<Unlisted[]> {
  const found = await sql<Unlisted>`
    select type, count(*)::int as rows, coalesce(sum(settlement_minor), 0)::text as "settlementMinor",
           min(array[${partOf(all, 'load_no')}, load_no, line]) as place
      from ${rowsOf(loads)} d
     where type = any(${[...types]}::text[]) and (flags & 11) = 0
       and (settlement_minor <> 0 or fee_minor <> 0 or amount_minor <> 0)
     group by type`.execute(db);
  return found.rows;
}

const together = (a: Unlisted | undefined, b: Unlisted): Unlisted =>
  a === undefined
    ? b
    : {
        type: a.type,
        rows: a.rows + b.rows,
        settlementMinor: String(BigInt(a.settlementMinor) + BigInt(b.settlementMinor)),
        place: a.place[0]! < b.place[0]! ? a.place : b.place,
      };

/** Which sign is right, of what gives money back, most rows of the report say; so there is a look only where some are above zero. */
async function tellWrongReturns(db: Db, { read, loads }: Details, formats: Formats): Promise<void> {
  const facts = addFacts(read.map((part) => part.facts!));
  if (!facts.returnsAbove) return;
  const returning = typesOf({ read, loads }, formats, (format, type) => directionIn(format, type) === -1);
  const types = [...new Set(returning.flatMap((of) => of.types))];
  const counts = await sql<{ type: string; above: number; below: number }>`
    select type, (count(*) filter (where amount_minor > 0))::int as above, (count(*) filter (where amount_minor < 0))::int as below
      from ${rowsOf(loads)} d where type = any(${types}::text[]) and (flags & 8) = 0 group by type order by type`.execute(
    db,
  );
  for (const { type, above, below } of counts.rows) {
    const { isAboveWrong, isBelowWrong } = wrongSigns({ above, below });
    const isAlone = above + below === 1;
    if (isAboveWrong) await tellReturns(db, rowsOfSign(loads, type, sql`> 0`), isAlone);
    if (isBelowWrong) await tellReturns(db, rowsOfSign(loads, type, sql`< 0`), isAlone);
  }
}

async function tellReturns(db: Db, statement: RawBuilder<unknown>, isAlone: boolean): Promise<void> {
  for await (const rows of fetchBatches<StoredRow>(db, statement)) {
    const findings = rows.map((stored) => {
      const row = rowFrom(stored);
      const discrepancy = returnsTheWrongWay(row, isAlone);
      return { discrepancy, loadNo: stored.load_no, ofMatchable: isMatchable(row.matchBy) };
    });
    await recordFindings(db, findings);
  }
}

/** A duplicate is told already, and compared no further. */
const rowsOfSign = (loads: readonly ReadLoad[], type: string, sign: RawBuilder<unknown>): RawBuilder<unknown> => sql`
  select d.*, (extract(epoch from d.paid_at) * 1000000)::bigint as paid_at_micros from ${rowsOf(loads)} d
   where d.type = ${type} and d.amount_minor ${sign} and (d.flags & 8) = 0
     and not exists (select from duplicate u where u.load_no = d.load_no and u.line = d.line)`;
