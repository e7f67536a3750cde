/**
 * A month of settlements and what a bank says of them, made up from a seed, with what has to come out by construction: each payout is given a
 * fate, and the fates say the answer. Nothing here matches anything.
 */
import { formatAmount } from '../../src/domain/money/money.ts';
import { bai2Of, camtOf, type MadeEntry, type MadeStatement, mt940Of } from './bank-files.ts';

type Currency = MadeStatement['currency'];

export const ACCOUNTS: Readonly<Record<Currency, string>> = {
  EUR: 'NL91ABNA0417164300',
  JPY: '0007654321',
  KWD: 'KW81CBKU0000000000001234560101',
};
const PRINT: Readonly<Record<Currency, (statements: readonly MadeStatement[]) => string>> = {
  EUR: (statements) => camtOf(statements, { version: '08' }),
  JPY: (statements) => mt940Of(statements, { info: 'words' }),
  // All entries of a group are of its day.
  KWD: (statements) => bai2Of(statements.flatMap(byDay)),
};
const PAYER = 'ANTOM PAY LTD';
const MERCHANT = 'M1';

/** A statement of a week as one of each day. */
function byDay(week: MadeStatement): MadeStatement[] {
  let { opening } = week;
  const days = [...new Set([...week.entries.map(({ booked }) => booked), week.day])].sort();
  return days.map((day) => {
    const entries = week.entries.filter(({ booked }) => booked === day);
    const closing = entries.reduce((sum, { minor }) => sum + minor, opening);
    const statement = {
      ...week,
      day,
      opening,
      entries,
      closing: day === week.day ? (week.closing ?? closing) : closing,
    };
    opening = closing;
    return statement;
  });
}

export type ExpectedBank = {
  readonly state: string;
  readonly arrived: string;
  readonly matchedBy: string | null;
  readonly references: readonly string[];
};
export type ExpectedFinding = readonly [
  kind: string,
  batchId: string | null,
  reported: string | null,
  recorded: string | null,
];

export type BankMonth = {
  readonly reports: Readonly<Record<string, readonly string[]>>;
  readonly records: readonly string[];
  /** Files of statements, in the order of their days. */
  readonly statements: Readonly<Record<string, Buffer>>;
  readonly made: readonly MadeStatement[];
  readonly banks: ReadonlyMap<string, ExpectedBank>;
  readonly findings: readonly ExpectedFinding[];
};

/** Numbers that look random and are the same for a seed. */
export function seeded(seed: number): (below: number) => number {
  let state = (seed * 2_654_435_761) >>> 0 || 1;
  return (below) => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % below;
  };
}

const dayAfter = (day: string, days: number): string =>
  new Date(Date.parse(day) + days * 86_400_000).toISOString().slice(0, 10);
const isBusiness = (day: string): boolean => ![0, 6].includes(new Date(day).getUTCDay());
const nextBusiness = (day: string): string => {
  let next = day;
  while (!isBusiness(next)) next = dayAfter(next, 1);
  return next;
};

const FIRST = '2026-03-02';
const LAST = '2026-04-10';

type Payout = { readonly batchId: string; readonly day: string; readonly minor: bigint; readonly currency: Currency };

class Month {
  readonly random: (below: number) => number;
  readonly payouts: Payout[] = [];
  readonly entries: (MadeEntry & { readonly currency: Currency })[] = [];
  readonly banks = new Map<string, ExpectedBank>();
  readonly findings: ExpectedFinding[] = [];
  #amount = 1_000n;
  #no = 0;

  constructor(seed: number) {
    this.random = seeded(seed);
  }

  pick<T>(of: readonly T[]): T {
    return of[this.random(of.length)]!;
  }

  /** No amount, and no sum of some, is another one by chance: each is far above all before. */
  amount(): bigint {
    this.#amount += 1_000n + BigInt(this.random(97)) * 7n;
    return this.#amount * 13n + BigInt(this.random(11));
  }

  payout(currency: Currency, day: string, minor = this.amount()): Payout {
    const payout = {
      batchId: `2026${String(++this.#no).padStart(4, '0')}1102100${String(this.random(900) + 100)}`,
      day,
      minor,
      currency,
    };
    this.payouts.push(payout);
    return payout;
  }

  entry(currency: Currency, day: string, minor: bigint, text: string, name = PAYER): MadeEntry {
    const reference = `E${String(this.entries.length + 1).padStart(5, '0')}X`;
    const booked = nextBusiness(day);
    // BAI2 has no field for a name.
    const said = currency === 'KWD' ? `ORIG CO NAME:${name}  ${text}` : text;
    const entry = { currency, minor, booked, value: booked, reference, text: said, name };
    this.entries.push(entry);
    return entry;
  }

  expect(
    { batchId, currency }: Payout,
    state: string,
    arrived: bigint,
    by: string | null,
    entries: readonly MadeEntry[],
  ): void {
    const references = entries.map(({ reference }) => reference);
    this.banks.set(batchId, { state, arrived: formatAmount(arrived, currency), matchedBy: by, references });
  }

  tell(
    kind: string,
    payout: Payout | null,
    currency: Currency,
    reported: bigint | null,
    recorded: bigint | null,
  ): void {
    const shown = (minor: bigint | null) => (minor === null ? null : formatAmount(minor, currency));
    this.findings.push([kind, payout?.batchId ?? null, shown(reported), shown(recorded)]);
  }
}

type Fate = (month: Month, currency: Currency, day: string) => void;

const named = ({ batchId }: Payout): string => `settlement ${batchId} paid`;
const FATES: Readonly<Record<string, Fate>> = {
  reference(month, currency, day) {
    const payout = month.payout(currency, day);
    month.expect(payout, 'arrived', payout.minor, 'reference', [
      month.entry(currency, dayAfter(day, 1 + month.random(20)), payout.minor, named(payout)),
    ]);
  },
  spaced(month, currency, day) {
    const payout = month.payout(currency, day);
    const text = `PAYOUT ${payout.batchId.slice(0, 8)} ${payout.batchId.slice(8)} END`;
    month.expect(payout, 'arrived', payout.minor, 'reference', [
      month.entry(currency, dayAfter(day, 1), payout.minor, text),
    ]);
  },
  amount(month, currency, day) {
    const payout = month.payout(currency, day);
    month.expect(payout, 'arrived', payout.minor, 'amount', [
      month.entry(currency, dayAfter(day, month.random(3)), payout.minor, 'no name'),
    ]);
  },
  longerRun(month, currency, day) {
    // The id stands in a longer run of digits, so that only the amount says it.
    const payout = month.payout(currency, day);
    month.expect(payout, 'arrived', payout.minor, 'amount', [
      month.entry(currency, dayAfter(day, 1), payout.minor, `9${payout.batchId}7`),
    ]);
  },
  sumOfDay(month, currency, day) {
    const payouts = [month.payout(currency, day), month.payout(currency, day), month.payout(currency, day)];
    const sum = payouts.reduce((all, { minor }) => all + minor, 0n);
    const entry = month.entry(currency, dayAfter(day, 2), sum, 'collective');
    for (const payout of payouts) month.expect(payout, 'arrived', payout.minor, 'sum', [entry]);
  },
  sumOfDays(month, currency, day) {
    const payouts = [month.payout(currency, day), month.payout(currency, dayAfter(day, 1))];
    const sum = payouts.reduce((all, { minor }) => all + minor, 0n);
    const entry = month.entry(currency, dayAfter(day, 2), sum, 'collective of days');
    for (const payout of payouts) month.expect(payout, 'arrived', payout.minor, 'sum', [entry]);
  },
  twoInOne(month, currency, day) {
    const payouts = [month.payout(currency, day), month.payout(currency, day)];
    const [one, other] = payouts as [Payout, Payout];
    const entry = month.entry(currency, dayAfter(day, 1), one.minor + other.minor, `${one.batchId}/${other.batchId}`);
    for (const payout of payouts) month.expect(payout, 'arrived', payout.minor, 'reference', [entry]);
  },
  oneInTwo(month, currency, day) {
    const payout = month.payout(currency, day);
    const part = payout.minor / 3n;
    month.expect(payout, 'arrived', payout.minor, 'reference', [
      month.entry(currency, dayAfter(day, 1), part, named(payout)),
      month.entry(currency, dayAfter(day, 4), payout.minor - part, named(payout)),
    ]);
  },
  short(month, currency, day) {
    const payout = month.payout(currency, day);
    const arrived = payout.minor - 3n;
    month.expect(payout, 'different', arrived, 'reference', [
      month.entry(currency, dayAfter(day, 1), arrived, named(payout)),
    ]);
    month.tell('payout_amount_mismatch', payout, currency, payout.minor, arrived);
  },
  twice(month, currency, day) {
    const payout = month.payout(currency, day);
    const entries = [1, 3].map((days) => month.entry(currency, dayAfter(day, days), payout.minor, named(payout)));
    month.expect(payout, 'arrived', payout.minor, 'reference', entries);
    month.tell('payout_twice', payout, currency, payout.minor, 2n * payout.minor);
  },
  returned(month, currency, day) {
    const payout = month.payout(currency, day);
    const entries = [
      month.entry(currency, dayAfter(day, 1), payout.minor, named(payout)),
      month.entry(currency, dayAfter(day, 8), -payout.minor, `return of ${payout.batchId}`),
    ];
    month.expect(payout, 'returned', 0n, 'reference', entries);
    month.tell('payout_returned', payout, currency, payout.minor, 0n);
  },
  missing(month, currency, day) {
    const payout = month.payout(currency, day);
    month.expect(payout, 'overdue', 0n, null, []);
    month.tell('payout_missing', payout, currency, payout.minor, null);
  },
  charged(month, currency, day) {
    // The merchant pays.
    const payout = month.payout(currency, day, -month.amount());
    month.expect(payout, 'arrived', payout.minor, 'amount', [
      month.entry(currency, dayAfter(day, 1), payout.minor, 'debit'),
    ]);
  },
  unexplained(month, currency, day) {
    const minor = month.amount() * 1_000_003n;
    month.entry(currency, day, minor, 'bonus');
    month.tell('unexplained_credit', null, currency, null, minor);
  },
  noise(month, currency, day) {
    for (let more = 0; more < 4; more++)
      month.entry(currency, dayAfter(day, month.random(5)), -month.amount() * 1_000_003n, 'rent', 'LANDLORD');
  },
};
export const FATE_NAMES = Object.keys(FATES);

/** What is open after names and amounts must not be on the same day as another such one: then no sum is theirs. */
const ALONE = ['sumOfDay', 'sumOfDays', 'missing'];
const CURRENCIES = ['EUR', 'JPY', 'KWD'] as const;

/** Each of these fates once, and some more. */
export function bankMonth(
  seed: number,
  { fates = FATE_NAMES, more = 6, currencies = CURRENCIES }: MonthOptions = {},
): BankMonth {
  const month = new Month(seed);
  const free = [0, 7, 14].flatMap((days) => currencies.map((currency) => ({ currency, day: dayAfter(FIRST, days) })));
  const others = FATE_NAMES.filter((name) => !ALONE.includes(name));
  for (const fate of [...fates, ...Array.from({ length: more }, () => month.pick(others))]) {
    const any = { currency: month.pick(currencies), day: dayAfter(FIRST, month.random(19)) };
    const { currency, day } = ALONE.includes(fate) ? free.splice(month.random(free.length), 1)[0]! : any;
    FATES[fate]!(month, currency, day);
  }
  const made = statementsOf(month, currencies);
  return {
    ...reportsOf(month.payouts),
    made,
    statements: filesOf(made),
    banks: month.banks,
    findings: month.findings,
  };
}

type MonthOptions = {
  readonly fates?: readonly string[];
  readonly more?: number;
  readonly currencies?: readonly Currency[];
};

/** A statement for each account and week. */
function statementsOf({ entries }: Month, currencies: readonly Currency[]): MadeStatement[] {
  return currencies.flatMap((currency) => {
    let opening = 5_000_000n;
    let number = 11;
    const statements: MadeStatement[] = [];
    for (let day = dayAfter(FIRST, 4); day <= LAST; day = dayAfter(day, 7)) {
      const since = dayAfter(day, -7);
      const own = entries
        .filter((entry) => entry.currency === currency && entry.booked > since && entry.booked <= day)
        .sort((a, b) => (a.booked < b.booked ? -1 : 1));
      const statement = { account: ACCOUNTS[currency], currency, number: String(number++), day, opening, entries: own };
      statements.push(statement);
      opening = own.reduce((sum, { minor }) => sum + minor, opening);
    }
    return statements;
  });
}

export const filesOf = (made: readonly MadeStatement[]): Record<string, Buffer> =>
  Object.fromEntries(
    made.map((statement) => [
      `${statement.currency}-${statement.day}.txt`,
      Buffer.from(PRINT[statement.currency]([statement])),
    ]),
  );

/** Details of one row and a summary for each batch, and the records of the rows. */
function reportsOf(payouts: readonly Payout[]): Pick<BankMonth, 'reports' | 'records'> {
  const reports: Record<string, string[]> = {};
  const records = ['requestId,type,amount,currency,status,occurredAt,originalRequestId'];
  for (const { batchId, day, minor, currency } of payouts) {
    const at = `${MERCHANT}/${day.replaceAll('-', '')}`;
    const amount = formatAmount(minor, currency);
    const type = minor < 0n ? 'REFUND' : 'PAYMENT';
    const id = `r-${batchId}`;
    const original = minor < 0n ? `o-${batchId}` : '';
    reports[`${at}/settlementItems_${currency}_${batchId}_000.csv`] = [
      'settlementBatchId,transactionType,transactionId,transactionRequestId,originalTransactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency',
      `${batchId},${type},t-${batchId},${id},${original},${amount},${currency},${amount},${currency}`,
      '<END>',
    ];
    reports[`${at}/settlementSummary_${currency}_${batchId}_000.csv`] = [
      'settlementBatchId,summaryType,count,settlementAmountValue,settlementCurrency,feeAmountValue,feeCurrency',
      `${batchId},TOTAL,1,${amount},${currency},0,${currency}`,
      '<END>',
    ];
    records.push(`${id},${type},${amount.replace('-', '')},${currency},SUCCESS,${day}T09:00:00+08:00,${original}`);
    if (original !== '')
      records.push(`${original},PAYMENT,${amount.replace('-', '')},${currency},SUCCESS,${day}T08:00:00+08:00,`);
  }
  return { reports, records };
}
