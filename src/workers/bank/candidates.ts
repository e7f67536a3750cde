import type { Db } from '../../adapters/postgres/connection.ts';
import { fetchBatches } from '../../adapters/postgres/cursors.ts';
import { CoveredDays } from '../../domain/bank/choose-statements.ts';
import {
  type Confirmation,
  type Matching,
  matchPayouts,
  type Payout,
  possibleSums,
} from '../../domain/bank/match-payouts.ts';
import { NamedIds } from '../../domain/bank/named-batches.ts';
import type { BookedEntry } from '../../domain/bank/payouts.ts';
import { type BankSettings, payerTest } from '../../domain/bank/settings.ts';
import type { CountedStatement } from '../../domain/bank/statement-findings.ts';
import type { Accounts } from './accounts.ts';
import * as query from './match-payouts.sql.ts';

// A merchant's bank knows a million entries, of which a few thousand have to do with payouts. All of them pass by, and only those are kept that
// a step could take: by name, amount, payer or confirmation; then those that are the sum of what is still open.

type Known = {
  readonly counting: readonly CountedStatement[];
  readonly accounts: Accounts;
  readonly settings: BankSettings;
  readonly confirmed: readonly query.ConfirmationRow[];
};

/** Matches these payouts with the entries of the statements that count. */
export async function matchEntries(db: Db, payouts: readonly Payout[], known: Known): Promise<Matching> {
  const candidates = new Candidates(known);
  const isPayer = payerTest(known.settings.payers);
  const ids = new NamedIds<true>();
  const amounts = new Set<string>();
  for (const { batchId, currency, amountMinor } of payouts) {
    ids.add(batchId, true);
    amounts.add(`${currency} ${amountMinor}`).add(`${currency} ${-amountMinor}`);
  }
  const keys = new Set(known.confirmed.map(({ account, entryKey }) => `${account} ${entryKey}`));
  await candidates.gather(db, null, (head, { account, currency }) => ({
    isFromPayer: isPayer(head.name),
    isWanted:
      isPayer(head.name) ||
      amounts.has(`${currency} ${head.amountMinor}`) ||
      keys.has(`${account} ${head.entryKey}`) ||
      ids.in(head.texts).length > 0,
  }));
  await candidates.complete(db);
  const confirmations = candidates.confirmationsOf(known.confirmed);
  const matching = matchPayouts(payouts, candidates.entries, confirmations);

  const sums = possibleSums(matching.openPayouts);
  if (sums.size === 0) return matching;
  const before = candidates.entries.length;
  const minors = [...new Set([...sums].map((sum) => BigInt(sum.split(' ')[1]!)))];
  await candidates.gather(db, minors, (head, { currency }) => ({
    isFromPayer: isPayer(head.name),
    isWanted: sums.has(`${currency} ${head.amountMinor}`),
  }));
  if (candidates.entries.length === before) return matching;
  await candidates.complete(db);
  return matchPayouts(payouts, candidates.entries, confirmations);
}

/** Whether a step could take an entry. */
type Want = (
  head: query.EntryHead,
  statement: CountedStatement,
) => { readonly isFromPayer: boolean; readonly isWanted: boolean };

class Candidates {
  readonly entries: BookedEntry[] = [];
  readonly #known: Known;
  readonly #statements: ReadonlyMap<string, CountedStatement>;
  readonly #covered: CoveredDays;
  readonly #taken = new Set<number>();
  /** How often an entry that says the same came before, of those that are kept. */
  readonly #said = new Map<string, number>();
  #completed = 0;

  constructor(known: Known) {
    this.#known = known;
    this.#statements = new Map(
      known.counting.map((statement) => [`${statement.fileNo} ${statement.ordinal}`, statement]),
    );
    this.#covered = new CoveredDays(known.counting);
  }

  /** Passes all entries of these amounts (null: of any), final ones first: of others only those count that no final statement has. */
  async gather(db: Db, amounts: readonly bigint[] | null, want: Want): Promise<void> {
    const interim = new InterimEntries(this.#covered);
    for (const finals of [true, false]) {
      if (!this.#known.counting.some(({ isFinal }) => isFinal === finals)) continue;
      for await (const heads of fetchBatches<query.EntryHead>(db, query.entryHeads(finals, amounts))) {
        for (const head of heads) {
          const statement = this.#statements.get(`${head.fileNo} ${head.statement}`);
          if (!statement) continue;
          const { isWanted, isFromPayer } = want(head, statement);
          if (isWanted && (finals || interim.isNew(head, statement))) this.#add(head, statement, isFromPayer);
        }
      }
    }
  }

  #add(head: query.EntryHead, statement: CountedStatement, isFromPayer: boolean): void {
    const { fileNo, ordinal, amountMinor, reference, texts, name } = head;
    const { account, currency, file, to } = statement;
    const bookingDate = head.bookingDate ?? to;
    const entryNo = fileNo * ENTRIES_OF_FILE + ordinal;
    if (bookingDate === null || this.#taken.has(entryNo)) return;
    this.#taken.add(entryNo);
    const said = `${account} ${head.entryKey}`;
    const times = (this.#said.get(said) ?? 0) + 1;
    this.#said.set(said, times);
    this.entries.push({
      entryNo,
      fileNo,
      ordinal,
      id: idOf(said, times),
      account,
      merchantNos: this.#known.accounts.merchantsOf(statement),
      currency,
      bookingDate,
      file,
      line: 0,
      amountMinor,
      reference,
      references: texts.split('\n'),
      isFromPayer,
      chargesMinor: null,
      counterpartyName: name,
    });
  }

  /** Reads the rest of those that are kept. */
  async complete(db: Db): Promise<void> {
    const fresh = this.entries.slice(this.#completed);
    this.#completed = this.entries.length;
    const details = await query.entryDetails(db, fresh);
    const byPlace = new Map(details.map((row) => [row.fileNo * ENTRIES_OF_FILE + row.ordinal, row]));
    fresh.forEach((entry, at) => {
      const { line, chargesMinor } = byPlace.get(entry.entryNo)!;
      this.entries[this.entries.length - fresh.length + at] = { ...entry, line, chargesMinor };
    });
  }

  confirmationsOf(confirmed: readonly query.ConfirmationRow[]): Confirmation[] {
    const byId = new Map(this.entries.map(({ id, entryNo }) => [id, entryNo]));
    return confirmed.flatMap(({ account, entryKey, ordinal, batchNo }) => {
      const entryNo = byId.get(idOf(`${account} ${entryKey}`, ordinal));
      return entryNo === undefined ? [] : [{ entryNo, batchNo }];
    });
  }
}

const ENTRIES_OF_FILE = 1_000_000_000;

const idOf = (said: string, times: number): string => `${said} ${times}`;

/** What reports of a running day and notifications say: each entry once, however many of them have it. */
class InterimEntries {
  readonly #covered: CoveredDays;
  readonly #most = new Map<string, number>();
  #statement = '';
  #times = new Map<string, number>();

  constructor(covered: CoveredDays) {
    this.#covered = covered;
  }

  isNew(head: query.EntryHead, { account, currency, to }: CountedStatement): boolean {
    const day = head.bookingDate ?? to;
    if (day === null || this.#covered.has(account, currency, day)) return false;
    const statement = `${head.fileNo} ${head.statement}`;
    if (statement !== this.#statement) this.#times = new Map();
    this.#statement = statement;
    const said = `${account} ${currency} ${day} ${head.amountMinor} ${head.reference}`;
    const times = (this.#times.get(said) ?? 0) + 1;
    this.#times.set(said, times);
    if (times <= (this.#most.get(said) ?? 0)) return false;
    this.#most.set(said, times);
    return true;
  }
}
