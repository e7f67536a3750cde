import { mkdir, rename } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Kind } from '../src/domain/discrepancy.ts';
import { accountOf, bookedOn, paymentsOf, type Statement, statementOf } from './bank.ts';
import { writeStatement } from './bank-files.ts';
import { loseRecords, type Payout, swapDigitsOfOne } from './faults.ts';
import { type Batch, isoDay, makeWeek, type Week } from './week.ts';
import { batchReports, folderOf, type Report, writeReport } from './write.ts';

/** A settlement batch that comes after the week: what is special about it, and what has to be told of it. */
export type Drop = {
  readonly batch: Batch;
  readonly why: string;
  readonly tells: Readonly<Partial<Record<Kind, number>>>;
  /** What the bank sends with it: the statement in which its payout stands, where no later batch has its payout there too. */
  readonly statement: Statement | null;
};

export type DropDay = {
  readonly week: Week;
  readonly drops: readonly Drop[];
};

type Variation = {
  readonly why: string;
  readonly tells: Drop['tells'];
  readonly vary: (batch: Batch, week: Week, payout: Payout) => void;
};

/** One after the other. They are seven, and a day has four batches: sooner or later each comes as each. */
const VARIATIONS: readonly Variation[] = [
  { why: 'nothing is wrong with it', tells: {}, vary: () => {} },
  {
    why: 'its details come in two parts',
    tells: {},
    vary: (batch) => {
      batch.parts = 2;
    },
  },
  {
    why: 'one of our records has two digits swapped',
    tells: { amount_mismatch: 1 },
    vary: (_, week, payout) => swapDigitsOfOne(week, payout),
  },
  {
    why: 'its details come as a sheet',
    tells: {},
    vary: (batch) => {
      batch.form = 'xlsx';
    },
  },
  {
    why: 'one of its sales is not in our records',
    tells: { unknown_transaction: 1 },
    vary: (_, week, payout) => loseRecords(week, payout, 1),
  },
  { why: 'nothing is wrong with it', tells: {}, vary: () => {} },
  {
    why: 'its summary is off by 13 of the smallest coins',
    tells: { summary_mismatch: 2 },
    vary: (batch) => {
      batch.summaryOffMinor = { type: -13n, total: -13n };
    },
  },
];

/** The week has seven days: this is the first one after it. */
export const FIRST_DROP_DAY = 7;
const MOVEMENTS_A_DAY = 1_600;

/** The batches that settle one more day, counted from the first of the week. Each call for a day makes the same ones. */
export function makeDropDay(day: number): DropDay {
  const week = makeWeek(day, [MOVEMENTS_A_DAY]);
  const drops = week.batches.map((batch, at) => {
    const turn = (day - FIRST_DROP_DAY) * week.batches.length + at;
    const { why, tells, vary } = VARIATIONS[turn % VARIATIONS.length]!;
    vary(batch, week, { route: batch.route, day });
    return { batch, why, tells, statement: statementWith(batch, day) };
  });
  return { week, drops };
}

/** What settles on a Friday, Saturday or Sunday is booked on one day, and comes with the last of them. */
function statementWith(batch: Batch, day: number): Statement | null {
  const account = accountOf(batch);
  const booked = bookedOn(batch);
  if (account === undefined || bookedOn({ date: isoDay(day + 2) }) === booked) return null;
  const days = [day];
  while (bookedOn({ date: isoDay(days[0]!) }) === booked) days.unshift(days[0]! - 1);
  const batches = days.flatMap((one) => makeWeek(one, [MOVEMENTS_A_DAY]).batches);
  const entries = batches.filter(({ route }) => route === batch.route).flatMap(paymentsOf);
  return statementOf({ entries, lost: new Set() }, account, booked);
}

/** The reports of a drop, in the order in which they are put: the summary last. */
export const reportsOf = ({ batch }: Drop): Report[] => batchReports(batch);

/** Puts a statement where the bank's lie, as a report is put. */
export async function putStatement(statement: Statement, dir: string): Promise<string> {
  const uploaded = await writeStatement(statement, join(dir, 'uploads'));
  const folder = join(dir, 'bank');
  await mkdir(folder, { recursive: true });
  await rename(uploaded, join(folder, basename(uploaded)));
  return basename(uploaded);
}

/** Puts a report on the provider's server: it is written elsewhere and renamed, so that nobody sees half of it. */
export async function putReport(report: Report, dir: string): Promise<string> {
  const uploaded = await writeReport(report, join(dir, 'uploads'), new Date());
  const folder = join(dir, 'reports', folderOf(report));
  await mkdir(folder, { recursive: true });
  await rename(uploaded, join(folder, basename(uploaded)));
  return basename(uploaded);
}
