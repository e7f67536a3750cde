import { type Db, onOneConnection } from '../../adapters/postgres/connection.ts';
import { inTransaction } from '../../adapters/postgres/transactions.ts';
import { chooseStatements, gapsIn, type Replacement, replacementsIn } from '../../domain/bank/choose-statements.ts';
import { missingStatements } from '../../domain/bank/missing-statements.ts';
import {
  type BankFinding,
  type BookedEntry,
  decidePayouts,
  payoutFindings,
  payoutsOf,
  unexplainedCredits,
} from '../../domain/bank/payouts.ts';
import { type BankSettings, businessDaysAfter, daysOf } from '../../domain/bank/settings.ts';
import {
  type CountedStatement,
  gapFinding,
  lostEntries,
  mayLackEntries,
  unbalanced,
} from '../../domain/bank/statement-findings.ts';
import { dateIn } from '../../domain/calendar/time.ts';
import { matchPayouts as matchPayoutsJob } from '../../jobs.ts';
import { dueMatching } from '../../store/bank/matching.ts';
import { bankSettings } from '../../store/bank/settings.ts';
import type { JobContext } from '../context.ts';
import { claimTask } from '../fencing.ts';
import { carryHandlingOfBank } from '../handling.sql.ts';
import { accountsOf, batchesWith } from './accounts.ts';
import { matchEntries } from './candidates.ts';
import * as query from './match-payouts.sql.ts';

/**
 * Matches all payouts with the entries of all statements, and publishes what became of them. It decides in one snapshot, and publishes under the
 * locks of the merchants. Whatever changes meanwhile has a number of its own, so that it is matched once more. Run twice, the second time
 * changes nothing.
 */
export async function matchPayouts(context: MatchContext): Promise<void> {
  const { database, enqueue, calendars, now } = context;
  await onOneConnection(database, async (db) => {
    if ((await query.lastChange(db)) === null) return;
    // Whoever is at it sees what is new when it is done; one that was stopped in the middle is ended.
    if (await query.isBeingMatched(db)) return;
    await claimTask(db, query.TASK);
    const today = (await query.isByClock(db)) ? dateIn(BigInt(now()) * 1000n, 'UTC') : null;
    const decision = await inTransaction(db, () => decide(db, today), 'repeatable read');
    if (decision) await inTransaction(db, () => publish(db, decision));
    if (decision) context.logEvent('info', 'payouts matched', decision.counts);
  });
  const due = calendars === null ? null : await dueMatching(database.db);
  if (due) await enqueue(matchPayoutsJob, due);
}

type MatchContext = Pick<JobContext, 'database' | 'enqueue' | 'calendars' | 'logEvent' | 'now'>;

type Decision = {
  readonly upTo: bigint;
  readonly merchantNos: readonly number[];
  readonly states: Parameters<typeof query.writeStates>[1];
  readonly payouts: readonly query.PayoutRow[];
  readonly entries: readonly query.PayoutEntryRow[];
  readonly findings: readonly query.FindingRow[];
  readonly counts: { readonly payouts: number; readonly matched: number; readonly discrepancies: number };
};

async function decide(db: Db, today: string | null): Promise<Decision | null> {
  const upTo = await query.lastChange(db);
  const settings = await bankSettings(db);
  if (upTo === null || settings === null) return null;
  const read = (await query.statements(db)).map(asRead);
  const states = chooseStatements(read);
  const batchRows = await query.batches(db);
  const accounts = accountsOf(settings, read, batchRows, today);
  const counted = (statement: Read): CountedStatement => ({
    ...statement,
    merchantNo: accounts.onlyMerchant(statement),
  });
  const counting = read.filter((statement) => states.get(statement) === 'counts').map(counted);
  const batches = batchesWith(batchRows, settings, accounts);
  const confirmed = await query.confirmations(db);
  const matching = await matchEntries(db, payoutsOf(batches), { counting, accounts, settings, confirmed });
  const decided = decidePayouts(batches, matching);
  const findings = [
    ...payoutFindings(batches, decided, matching),
    ...unexplainedCredits(matching, (entry) =>
      isLate(entry as BookedEntry, settings, accounts.knownUntil(entry as BookedEntry)),
    ),
    ...counting.flatMap(unbalanced),
    ...gapsIn(counting).map(gapFinding),
    ...(await lostIn(db, replacementsIn(read, states), counted)),
    ...(today === null ? [] : missingStatements(counting, daysOf(settings.calendars, null), today)),
  ];
  return {
    upTo,
    merchantNos: batches.map(({ merchantNo }) => merchantNo),
    states: [...states].map(([{ fileNo, ordinal }, state]) => ({ fileNo, ordinal, state })),
    payouts: decided.map(({ match, amountMinor, arrivedMinor, ...payout }) => ({
      ...payout,
      amountMinor: amountMinor?.toString() ?? null,
      arrivedMinor: arrivedMinor.toString(),
      matchedBy: match?.matchedBy ?? null,
    })),
    entries: decided.flatMap(({ batchNo, match }) =>
      match === null
        ? []
        : [
            ...match.entries.map((entry) => payoutEntry(batchNo, entry as BookedEntry, 'paid')),
            ...match.surplus.map((entry) => payoutEntry(batchNo, entry as BookedEntry, 'surplus')),
            ...match.returns.map((entry) => payoutEntry(batchNo, entry as BookedEntry, 'returned')),
          ],
    ),
    findings: findings.map(findingRow),
    counts: {
      payouts: decided.length,
      matched: decided.filter(({ match }) => match !== null).length,
      discrepancies: findings.length,
    },
  };
}

type Read = ReturnType<typeof asRead>;

/** Booked entries that are in no statement that counts, although their day is. */
async function lostIn(
  db: Db,
  replacements: readonly Replacement<Read>[],
  counted: (statement: Read) => CountedStatement,
): Promise<BankFinding[]> {
  const pairs = replacements.filter(mayLackEntries);
  const lost = await query.entriesLost(db, pairs);
  return lost.map(({ at, ...entries }) => {
    const { replaced, by } = pairs[at]!;
    return lostEntries({ replaced: counted(replaced), by: counted(by) }, entries);
  });
}

const asRead = ({ bookedMinor, isFinal, ...row }: query.StatementRow) => ({
  ...row,
  isFinal,
  bookedMinor: BigInt(bookedMinor),
});

/** Time enough for its report to come is over. */
function isLate({ bookingDate }: BookedEntry, { payoutDays, calendars }: BankSettings, knownUntil: string | null) {
  return knownUntil !== null && knownUntil > businessDaysAfter(bookingDate, payoutDays, daysOf(calendars, null));
}

const payoutEntry = (batchNo: number, { fileNo, ordinal }: BookedEntry, role: query.PayoutEntryRow['role']) => ({
  batchNo,
  fileNo,
  ordinal,
  role,
});

function findingRow({ discrepancy, batchNo, fileNo, merchantNo, key }: BankFinding): query.FindingRow {
  const { kind, line, field, reported, recorded, difference, currency, message, stake } = discrepancy;
  return {
    batch_no: batchNo,
    identity: [kind, batchNo ?? '', key].join('|'),
    kind,
    bank_file_no: fileNo,
    merchant_no: merchantNo,
    line,
    field,
    reported,
    recorded,
    difference,
    currency,
    message,
    stake_minor: stake?.amountMinor.toString() ?? null,
    stake_currency: stake?.currency ?? null,
  };
}

async function publish(db: Db, decision: Decision): Promise<void> {
  await query.lockMerchants(db, decision.merchantNos);
  await query.writeStates(db, decision.states);
  await query.writePayouts(db, decision.payouts, decision.entries);
  await query.publishFindings(db, decision.findings);
  await carryHandlingOfBank(db);
  await query.forgetChanges(db, decision.upTo);
}
