/** What the parts of the bank decide of a month, put together in memory and without a database: thousands of changes take seconds. */
import { join } from 'node:path';
import { HEAD_BYTES, openStatements, statementFormatOf } from '../../src/adapters/file-formats/statements.ts';
import { loadStatementFormat } from '../../src/config/statement-format.ts';
import { CoveredDays, chooseStatements, gapsIn } from '../../src/domain/bank/choose-statements.ts';
import { matchPayouts } from '../../src/domain/bank/match-payouts.ts';
import {
  type BookedEntry,
  decidePayouts,
  payoutFindings,
  payoutsOf,
  unexplainedCredits,
} from '../../src/domain/bank/payouts.ts';
import { businessDaysAfter, daysOf, payerTest } from '../../src/domain/bank/settings.ts';
import type { BankEntry, BankEvent, StatementFormat } from '../../src/domain/bank/statement.ts';
import { type CountedStatement, gapFinding, unbalanced } from '../../src/domain/bank/statement-findings.ts';
import { ReportRefused } from '../../src/domain/errors.ts';
import { StatementRows } from '../../src/workers/bank/statement-rows.ts';
import { ACCOUNT, type CleanBank, CSV_FORMAT, PAYER } from './bank-changes.ts';
import { temporaryFolder, writeFiles } from './book.ts';

const csv = loadStatementFormat(
  join(writeFiles(temporaryFolder(), { 'corner.yaml': [CSV_FORMAT] }), 'corner.yaml'),
  'corner.yaml',
);
const MERCHANT = 1;
const PAYOUT_DAYS = 5;
const DAYS = daysOf({}, null);

type Read = { readonly statement: CountedStatement; readonly entries: readonly BankEntry[] };

/** What is told, and the state of each payout. */
export type InMemory = { readonly told: readonly string[]; readonly states: readonly string[] };

export function sayInMemory({ payouts, currency }: CleanBank, files: Readonly<Record<string, string>>): InMemory {
  const refused: string[] = [];
  const read = Object.entries(files)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([file, text], at) => readFile(file, at + 1, text, refused));
  const states = chooseStatements(read.map(({ statement }) => statement));
  const counting = read.filter(({ statement }) => states.get(statement) === 'counts');
  const statements = counting.map(({ statement }) => statement);
  const own = statements.filter(({ account }) => account === ACCOUNT);
  const knownUntil =
    own
      .flatMap(({ isFinal, to }) => (isFinal && to !== null ? [to] : []))
      .sort()
      .at(-1) ?? null;
  const batches = payouts.map(({ batchId, day, minor }, batchNo) => ({
    ...{ batchNo, batchId, merchantNo: MERCHANT, currency, settlementDate: day, amountMinor: minor },
    dueBy: businessDaysAfter(day, PAYOUT_DAYS, DAYS),
    knownUntil,
  }));
  const matching = matchPayouts(payoutsOf(batches), entriesOf(counting, currency));
  const decided = decidePayouts(batches, matching);
  const isLate = (bookingDate: string) =>
    knownUntil !== null && knownUntil > businessDaysAfter(bookingDate, PAYOUT_DAYS, DAYS);
  const findings = [
    ...payoutFindings(batches, decided, matching),
    ...unexplainedCredits(matching, ({ bookingDate, merchantNos }) => merchantNos.length > 0 && isLate(bookingDate)),
    ...statements.flatMap(unbalanced),
    ...gapsIn(statements).map(gapFinding),
  ];
  return {
    told: [...refused, ...findings.map(({ discrepancy: { kind, message } }) => `${kind} ${message}`)],
    states: decided.map(({ state }) => state),
  };
}

function readFile(file: string, fileNo: number, text: string, refused: string[]): Read[] {
  const bytes = Buffer.from(text);
  const rows = new StatementRows(fileNo);
  const entries: BankEntry[][] = [[]];
  let format: StatementFormat = 'camt';
  const events: BankEvent[] = [];
  try {
    const opened = statementFormatOf(bytes.subarray(0, HEAD_BYTES), [csv]);
    if (opened === null) throw new ReportRefused('unknown_format', null);
    format = typeof opened === 'object' ? opened.id : opened;
    const reading = openStatements(opened);
    try {
      reading.push(bytes, events);
      reading.end(events);
    } finally {
      for (const event of events) {
        rows.add(event);
        if (event.type === 'entry') entries.at(-1)!.push(event.entry);
        if (event.type === 'statement' || event.type === 'refusedStatement') entries.push([]);
      }
    }
  } catch (error) {
    if (!(error instanceof ReportRefused)) throw error;
    rows.refuse(1, error);
  }
  if (rows.statements.length === 0) refused.push(`${file}: there is no statement in it`);
  return rows.statements.flatMap((row, at): Read[] => {
    if (row.error_code !== null) refused.push(`${file} ${row.error_code} ${row.error_message}`);
    if (row.error_code !== null) return [];
    const statement: CountedStatement = {
      ...{ fileNo, ordinal: row.ordinal, line: row.line, file, isFinal: row.is_final, account: row.account! },
      ...{
        currency: row.currency as CountedStatement['currency'],
        number: row.number,
        from: row.from_day,
        to: row.to_day,
      },
      openingMinor: row.opening_minor === null ? null : BigInt(row.opening_minor),
      closingMinor: row.closing_minor === null ? null : BigInt(row.closing_minor),
      ...{ digest: row.digest!, format, bookedMinor: BigInt(row.booked_minor), refused: row.refused_count },
      ...{ refusedLine: row.refused_line, refusedWhy: row.refused_why, merchantNo: MERCHANT },
    };
    return [{ statement, entries: entries[at]! }];
  });
}

function entriesOf(counting: readonly Read[], currency: string): BookedEntry[] {
  const covered = new CoveredDays(counting.map(({ statement }) => statement));
  const isPayer = payerTest([PAYER]);
  return counting.flatMap(({ statement, entries }) =>
    entries.flatMap((entry, at): BookedEntry[] => {
      const bookingDate = entry.bookingDate ?? entry.valueDate ?? statement.to;
      if (entry.status !== 'booked' || bookingDate === null) return [];
      if (!statement.isFinal && covered.has(statement.account, statement.currency, bookingDate)) return [];
      const isOwn = statement.account === ACCOUNT && statement.currency === currency;
      const ordinal = statement.ordinal * 1_000 + at;
      return [
        {
          ...{ entryNo: statement.fileNo * 1_000_000 + ordinal, fileNo: statement.fileNo, ordinal, id: `${ordinal}` },
          ...{ account: statement.account, currency: statement.currency, merchantNos: isOwn ? [MERCHANT] : [] },
          ...{ bookingDate, file: statement.file, line: entry.line, amountMinor: entry.amountMinor },
          ...{ reference: entry.reference, references: entry.references, isFromPayer: isPayer(entry.counterpartyName) },
          ...{ chargesMinor: entry.chargesMinor, counterpartyName: entry.counterpartyName },
        },
      ];
    }),
  );
}
