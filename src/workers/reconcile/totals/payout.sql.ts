import { sql } from 'kysely';
import type { Db } from '../../../adapters/postgres/connection.ts';
import type { Format, TypeRule } from '../../../domain/formats/format.ts';
import type { PayoutPlace, PayoutRows } from '../../../domain/matching/payout.ts';
import { partOf, type ReadLoad, rowsOf } from '../../../store/loads.ts';
import type { ReportState } from '../snapshot.sql.ts';

type Details = { readonly read: readonly ReportState[]; readonly loads: readonly ReadLoad[] };

/** The rows that say what is paid out of a batch, and those that carry it over; null where none of its formats has payouts in rows. */
export async function payoutRowsOf(
  db: Db,
  { read, loads }: Details,
  formats: ReadonlyMap<string, Format>,
): Promise<PayoutRows<PayoutPlace> | null> {
  if (![...formats.values()].some(({ types }) => Object.values(types).some(({ isPayout }) => isPayout))) return null;
  const found: Found[] = [];
  for (const [id, { types }] of formats) {
    const parts = read.filter((part) => part.format === id).map(({ loadNo }) => loadNo);
    const of = loads.filter(({ loadNo }) => parts.includes(loadNo));
    const named = (flag: (rule: TypeRule) => true | undefined) =>
      Object.keys(types).filter((type) => flag(types[type]!));
    found.push(
      ...(await rowsOfTypes(db, loads, of, {
        payouts: named((rule) => rule.isPayout),
        carryOvers: named((rule) => rule.isCarryOver),
      })),
    );
  }
  const ofPayouts = found.filter(({ isPayout }) => isPayout);
  const count = (of: readonly Found[]) => of.reduce((sum, { rows }) => sum + rows, 0);
  const [first] = (ofPayouts.length > 0 ? ofPayouts : found).sort((a, b) => before(a.place, b.place));
  return {
    paidMinor: ofPayouts.reduce((sum, { paidMinor }) => sum + BigInt(paidMinor), 0n),
    payouts: count(ofPayouts),
    carryOvers: count(found.filter(({ isPayout }) => !isPayout)),
    at: first ? await placeOf(db, loads, first.place) : null,
  };
}

/** `place`: part, load and line of the first. */
type Found = { isPayout: boolean; rows: number; paidMinor: string; place: readonly number[] };

const before = (a: readonly number[], b: readonly number[]): number => a[0]! - b[0]! || a[2]! - b[2]!;

/** What a payout pays stands as the amount of its row, for it settles nothing; what is not paid yet says nothing. */
async function rowsOfTypes(
  db: Db,
  all: readonly ReadLoad[],
  loads: readonly ReadLoad[],
  { payouts, carryOvers }: { payouts: readonly string[]; carryOvers: readonly string[] },
): Promise<Found[]> {
  const isPayout = sql`(type = any(${[...payouts]}::text[]))`;
  const rows = await sql<Found>`
    select ${isPayout} as "isPayout", count(*)::int as rows, coalesce(sum(amount_minor), 0)::text as "paidMinor",
           min(array[${partOf(all, 'load_no')}, load_no, line]) as place
      from ${rowsOf(loads)} d
     where type = any(${[...payouts, ...carryOvers]}::text[]) and (flags & 11) = 0 and (amount_minor is not null or not ${isPayout})
     group by 1`.execute(db);
  return rows.rows;
}

async function placeOf(db: Db, loads: readonly ReadLoad[], [, loadNo, line]: readonly number[]): Promise<PayoutPlace> {
  const found = await sql<PayoutPlace>`
    select load_no as "loadNo", line, type, transaction_id as "transactionId" from ${rowsOf(loads)} d
     where load_no = ${loadNo} and line = ${line}`.execute(db);
  return found.rows[0]!;
}
