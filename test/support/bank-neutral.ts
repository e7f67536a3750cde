/**
 * What changes nothing of a statement that anybody compares, and why: the only changes of a clean month that may stay without a word. Everything
 * else has to be told. The first entry that fits a change counts.
 */
import type { BankChange, BankFormat } from './bank-changes.ts';

export type BankNeutral = {
  readonly kinds: readonly string[];
  readonly formats?: readonly BankFormat[];
  readonly when?: (change: BankChange) => boolean;
  /** `expected`: nothing is told, and not every payout is said to have arrived. `either`: chance decides. */
  readonly stays?: 'arrived' | 'expected' | 'either';
  readonly why: string;
};

const DIGITS = ['last digit', 'first digit'];
const CELL = [...DIGITS, 'other way', 'sign', 'other word', 'emptied'];
const LINE = ['line dropped', 'line doubled'];
const ANY = [...CELL, ...LINE];
const MOVED = ['entry dropped', 'entry doubled', 'amount by one', 'amount ten times', 'the other way'].map(
  (kind) => `${kind}, with the balances`,
);
const FIRST = '11';
const LAST = '15';

const inLine = (pattern: RegExp) => (change: BankChange) => pattern.test(change.where);
/** Of an entry in the text of which no batch is named. */
const paysNothing = inLine(/^(?:RENT|CASH|INTEREST)/);
const isOfLast = ({ statement }: BankChange): boolean => statement === LAST;

const OF_MODEL: readonly BankNeutral[] = [
  { kinds: [...MOVED, 'booked much later'], when: paysNothing, why: 'the entry pays nothing' },
  {
    kinds: ['no reference and no text', 'names another batch'],
    when: inLine(/^(?!PAYOUT)/),
    why: 'the entry names no batch: its amount says what it pays',
  },
  { kinds: ['another name'], why: 'who pays counts only where nothing or more than one thing could be paid' },
  { kinds: ['file twice'], why: 'the same statement again is a duplicate' },
  { kinds: ['statement twice'], formats: ['camt', 'mt940', 'bai2'], why: 'the same statement again is a duplicate' },
  { kinds: ['statement twice, with other numbers'], formats: ['bai2'], why: 'BAI2 has no numbers: it is a duplicate' },
  {
    kinds: ['statement left out', 'of another account'],
    when: isOfLast,
    why: 'the bank is known up to the statement before: that the last one is missing, the clock tells the service',
  },
  {
    kinds: ['file left out'],
    when: ({ from, format }) => format === 'csv' || from.includes('-2'),
    stays: 'expected',
    why: 'the bank is known up to the statement before',
  },
  {
    kinds: ['file cut in the middle'],
    formats: ['csv'],
    stays: 'expected',
    why: 'nothing ends a CSV: the bank is known up to its last day',
  },
  {
    kinds: ['of another day'],
    when: ({ statement }) => statement === FIRST,
    why: 'the day of a statement says their order',
  },
  { kinds: ['booked much later'], formats: ['bai2'], why: 'BAI2 states one booking day for all entries of a group' },
];

const CAMT: readonly BankNeutral[] = [
  {
    kinds: ANY,
    when: inLine(/^<(?:EndToEndId|AcctSvcrRef|Nm|MsgId)>|^<Id>S-/),
    why: 'a reference that names no batch, or who pays',
  },
  { kinds: ANY, when: inLine(/^<Ustrd>(?!PAYOUT)/), why: 'a text that names no batch' },
  { kinds: ['last digit'], when: inLine(/^<Ustrd>PAYOUT/), why: 'a text behind the id of the batch' },
  {
    kinds: ['last digit', 'emptied', 'line dropped'],
    when: inLine(/^<DtTm>/),
    why: 'nothing is decided by the value date',
  },
  {
    kinds: ['last digit', 'emptied', 'line dropped'],
    when: inLine(/^<Dt>\d/),
    stays: 'either',
    why: 'a booking day within the window, or the day of a balance, which says the order of the statements',
  },
  {
    kinds: ['emptied', 'line dropped'],
    when: inLine(/^<Cd>BOOK|^<Ccy>/),
    why: 'booked is what an entry is unless it says so, and its amounts have the currency',
  },
  {
    kinds: ['emptied', 'line dropped', 'sign'],
    when: inLine(/^<ElctrncSeqNb>/),
    why: 'without a number the balances say what follows what',
  },
  { kinds: DIGITS, when: inLine(/^<ElctrncSeqNb>11</), why: 'the first number follows no other' },
  {
    kinds: DIGITS,
    when: (change) => inLine(/^<IBAN>/)(change) && isOfLast(change),
    why: 'of an account that is nobody’s, as if it were left out',
  },
  { kinds: ['line doubled'], when: inLine(/^<(\w+)[^>]*>[^<]*<\/\1>$/), why: 'the same is said twice' },
  { kinds: ANY, when: inLine(/^<\?xml/), stays: 'either', why: 'not what the statement says' },
  { kinds: ['last digit'], when: inLine(/^<Document/), why: 'another version of camt.053' },
];

const isIn61 = ({ where }: BankChange): boolean => where.startsWith(':61:');
const MT940: readonly BankNeutral[] = [
  {
    kinds: [...CELL, 'line dropped'],
    when: inLine(/^:20:/),
    why: 'the reference of the message says nothing of the account',
  },
  {
    kinds: CELL,
    when: (change) => inLine(/^:25:/)(change) && isOfLast(change),
    stays: 'either',
    why: 'of an account that is nobody’s, as if it were left out',
  },
  {
    kinds: ANY,
    when: inLine(/^:28C:/),
    stays: 'either',
    why: 'without a number the balances say what follows what, and the first number follows no other',
  },
  { kinds: ANY, when: inLine(/^-$/), why: 'the next message ends the one before' },
  { kinds: ['line doubled'], when: inLine(/^:(?:25|60F|62F):/), why: 'the same is said twice' },
  {
    kinds: DIGITS,
    when: ({ where, column }) => /^:6[02]F:/.test(where) && column === 6,
    stays: 'either',
    why: 'the day of a balance says the order of the statements',
  },
  {
    kinds: DIGITS,
    when: (change) => isIn61(change) && change.column === 4,
    stays: 'either',
    why: 'a booking day within the window',
  },
  {
    kinds: ['other word'],
    when: (change) => isIn61(change) && change.column === 14,
    why: 'a letter behind the mark is the funds code',
  },
  {
    kinds: CELL,
    when: (change) => isIn61(change) && change.column > change.where.indexOf('NTRF') - 1,
    stays: 'either',
    why: 'a type, or a reference that names no batch',
  },
  {
    kinds: ANY,
    when: ({ where, from }) =>
      !/^[:-]/.test(where) ||
      (where.startsWith(':86:') && !/\d{9}/.test(from)) ||
      /RENT|CASH|INTEREST|CARD|COLLECTIVE/.test(where),
    stays: 'either',
    why: 'a text in which no batch is named',
  },
];

/** The record, and the field that the cell is in. */
const inField =
  (record: string, ...fields: readonly number[]) =>
  ({ where, column }: BankChange) =>
    where.startsWith(`${record},`) && fields.includes(where.slice(0, column).split(',').length - 1);
const BAI2: readonly BankNeutral[] = [
  {
    kinds: CELL,
    when: inField('01', 1, 2, 3, 4, 5, 6, 8),
    why: 'who sends the file, and when, says nothing of the account',
  },
  { kinds: CELL, when: inField('02', 1, 2, 5), why: 'who sends the group, and when, says nothing of the account' },
  {
    kinds: ['emptied', 'sign'],
    when: inField('02', 3, 7),
    why: 'a group is an update of a day that is over unless it says so',
  },
  {
    kinds: DIGITS,
    when: inField('02', 4, 7),
    stays: 'either',
    why: 'the day of the last statement, or one day more or less within the window',
  },
  {
    kinds: CELL,
    when: inField('03', 3, 7),
    why: 'BAI2 states balances or not: its control totals say that no entry is missing',
  },
  {
    kinds: CELL,
    when: (change) => inField('03', 1)(change) && isOfLast(change),
    stays: 'either',
    why: 'of an account that is nobody’s, as if it were left out',
  },
  {
    kinds: CELL,
    when: inField('16', 3, 4, 6, 7),
    stays: 'either',
    why: 'a value date, or a reference that names no batch',
  },
  {
    kinds: CELL,
    when: (change) => inField('16', 8)(change) && !/PAYOUT/.test(change.where),
    why: 'a text that names no batch',
  },
  { kinds: ['last digit', 'other word'], when: inField('16', 8), why: 'a text beside the id of the batch' },
  { kinds: DIGITS, when: inField('16', 1), why: 'another type of credit, or of debit' },
  {
    kinds: ['emptied'],
    when: (change) => inField('02', 6)(change) && isOfLast(change),
    why: 'of an account in dollars that is nobody’s, as if it were left out',
  },
  {
    kinds: ['entry doubled, with the balances'],
    when: inLine(/^COLLECTIVE/),
    why: 'BAI2 does not say who pays: a credit that pays nothing is not known to be of a payer',
  },
  {
    kinds: ['emptied'],
    when: (change) => inField('49', 1, 2)(change) || inField('98', 1, 2, 3)(change) || inField('99', 1, 2, 3)(change),
    why: 'a control total that is not stated is not compared; the others are',
  },
  { kinds: ['line doubled'], when: inLine(/^(?:01|99),/), why: 'the file begins or ends twice at one place' },
];

const ofCsv =
  (...fields: readonly number[]) =>
  ({ where, column, line }: BankChange) =>
    line !== 1 && fields.includes(where.slice(0, column).split(';').length - 1);
const CSV: readonly BankNeutral[] = [
  { kinds: ['emptied'], when: ofCsv(2), why: 'nothing is decided by the value date' },
  {
    kinds: ['last digit'],
    when: ofCsv(1, 2),
    stays: 'either',
    why: 'a booking day within the window, and the balances follow each other; or a value date, which decides nothing',
  },
  { kinds: CELL, when: ofCsv(6, 8), why: 'a reference that names no batch, or who pays' },
  {
    kinds: CELL,
    when: (change) => ofCsv(7)(change) && !/PAYOUT/.test(change.where),
    why: 'a text that names no batch',
  },
  { kinds: ['last digit'], when: ofCsv(7), why: 'a text behind the id of the batch' },
  {
    kinds: [...DIGITS, 'line dropped', 'line doubled'],
    when: inLine(/INTEREST/),
    stays: 'either',
    why: 'the last row: the bank is known up to the day before',
  },
];

const OF_FORMAT: Readonly<Record<BankFormat, readonly BankNeutral[]>> = {
  camt: CAMT,
  mt940: MT940,
  bai2: BAI2,
  csv: CSV,
};

export const bankNeutralOf = (change: BankChange): BankNeutral | null =>
  [...OF_MODEL, ...OF_FORMAT[change.format]].find(
    ({ kinds, formats, when }) =>
      kinds.includes(change.kind) && (formats?.includes(change.format) ?? true) && (when?.(change) ?? true),
  ) ?? null;
