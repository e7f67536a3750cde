import type { RowReader } from '../../adapters/file-formats/csv.ts';
import type { CopyWriter } from '../../adapters/postgres/copy-binary.ts';
import type { IdColumn, TypeRule } from '../../domain/formats/format.ts';
import { digitsOf } from '../../domain/money/currency.ts';
import { deductedOf } from '../../domain/report/amounts.ts';
import { directionOf } from '../../domain/report/cells.ts';
import { needsOwnId } from '../../domain/report/check-row.ts';
import type { FactsCounter } from '../../domain/report/facts.ts';
import { hash, hashBytes } from '../../domain/report/key.ts';
import {
  amountAt,
  BLANK_TIME,
  codeAt,
  codeOf,
  DIGITS_OF_CODE,
  equals,
  isAsciiText,
  isBlank,
  isPlainId,
  MAX_AMOUNT,
  timeAt,
} from '../../domain/report/plain-cells.ts';
import type { RowContext } from '../../domain/report/read-row.ts';
import type { MatchBy, Row } from '../../domain/report/row.ts';
import { flagsOf } from '../../store/stored-row.ts';

/** Writes what is kept of a row, from its flags on, in COPY format. What FastRowParser writes is the same, byte for byte. */
export function writeContent(writer: CopyWriter, row: Row): void {
  writer.int2(flagsOf(row));
  writer.text(row.type);
  writer.text(row.requestId);
  const key = row.requestId ?? row.transactionId;
  // What did not happen is not to be found where something is looked for that did.
  if (key === null || !row.isDone) writer.null();
  else {
    const bytes = Buffer.from(key);
    hashBytes(bytes, 0, bytes.length, row.requestId === null ? 1 : 0);
    writer.int8Halves(hash.high, hash.low);
  }
  writer.text(row.transactionId);
  writer.text(row.originalRequestId);
  writer.text(row.originalTransactionId);
  writer.int8(row.amountMinor);
  writer.text(row.currency);
  writer.int8(row.settlementMinor);
  writer.int8(row.feeMinor);
  writer.time(row.paidAtMicros);
}

/**
 * Reads plain rows straight from their bytes into COPY format: 1.5 µs a row where `readRow` takes 9 (bench/rows.ts). A row is plain when nothing in
 * it needs thought: a known type with the ids it should have, amounts of at most twelve digits in one currency, a net that
 * agrees, ASCII, no surprise in any other cell. Of every other row it says no, having written nothing, and `readRow`, which is
 * the whole truth, reads it. A property test holds that both write the same bytes wherever this one says yes.
 *
 * Amounts are whole numbers below 10^12, which a JavaScript number holds exactly; sums are moved to bigints in good time.
 */
export class FastRowParser {
  readonly #at: Positions;
  readonly #context: RowContext;
  readonly #types: readonly PlainType[];
  readonly #transaction: AmountCells;
  readonly #settlement: AmountCells | null;
  readonly #otherAmounts: readonly AmountCells[];
  readonly #settlementCurrency: number;
  readonly #settlementDigits: number;
  readonly #doneStatuses: readonly Uint8Array[];
  /** Where the report names no acquirer. */
  readonly #deducted: readonly string[];
  readonly #tolerance: number;
  readonly #isMinor: boolean;
  /** What rows have said before, so that it need not be read again: the same few values stand in every row. */
  readonly #acquirers: { readonly bytes: Uint8Array; readonly deducted: readonly string[] }[] = [];
  #customer: Uint8Array = NOTHING;
  #settledAt: Uint8Array = NOTHING;
  #rows = 0;
  #returnsAbove = 0;
  #settledFrom = Number.POSITIVE_INFINITY;
  #paidFrom = Number.POSITIVE_INFINITY;
  #paidTo = Number.NEGATIVE_INFINITY;

  /** Null where the format prints what takes thought in every row: directions, zones or types in a way of its own. */
  static for(context: RowContext): FastRowParser | null {
    const { columns, format, kind } = context;
    const amounts = format.amounts[kind];
    const isPlain =
      Object.keys(format.typeNames).length === 0 &&
      Object.values(format.times).every(({ zoneColumn }) => zoneColumn === undefined) &&
      amounts.every(({ debitColumn }) => debitColumn === undefined) &&
      amounts.some(({ column, role }) => role === 'transaction' && columns.at[column] !== undefined);
    return isPlain ? new FastRowParser(context) : null;
  }

  private constructor(context: RowContext) {
    const { columns, format, kind } = context;
    this.#context = context;
    this.#at = positionsOf(columns.at);
    this.#isMinor = context.amountUnit === 'minor';
    this.#tolerance = Number(context.toleranceMinor);
    const amounts = format.amounts[kind]
      .filter(({ column }) => columns.at[column] !== undefined)
      .map(({ column, currencyColumn, role }) => ({
        column,
        role,
        amount: columns.at[column]!,
        currency: columns.at[currencyColumn] ?? -1,
      }));
    this.#transaction = amounts.find(({ role }) => role === 'transaction')!;
    this.#settlement = amounts.find(({ role }) => role === 'settlement') ?? null;
    this.#otherAmounts = amounts.filter(({ role }) => role !== 'settlement' && role !== 'transaction');
    this.#doneStatuses = format.doneStatuses.map((status) => Buffer.from(status));
    this.#deducted = deductedOf(format, null);
    const { settlementCurrency } = context;
    this.#settlementCurrency = settlementCurrency === null ? -1 : codeOf(settlementCurrency);
    this.#settlementDigits = settlementCurrency === null ? 0 : digitsOf(settlementCurrency);
    this.#types = Object.entries(format.types)
      .filter(([, rule]) => rule.matchBy !== 'none' && !rule.isPayout)
      .map(([name, rule]) => ({
        bytes: Buffer.from(name),
        name,
        ids: idPositionsOf(columns.at, rule),
        ownId: needsOwnId(rule),
        direction: directionOf(rule, name),
        matchBy: rule.matchBy,
        flags: flagsOf({ matchBy: rule.matchBy, isDone: true, instalments: 1 }),
        count: 0,
        settlement: 0,
        fees: 0,
        feeCount: 0,
      }));
  }

  /** Writes the current row after what the caller wrote of it (its place). False: it is not plain, and nothing was written. */
  write(reader: RowReader, writer: CopyWriter): boolean {
    const at = this.#at;
    const { width } = this.#context.columns;
    if (reader.hasEscapes || reader.cells < width) return false;
    const { buf, starts, ends } = reader;
    for (let cell = width; cell < reader.cells; cell++) if (starts[cell] !== ends[cell]) return false;

    const type = this.#typeOf(buf, starts[at.type]!, ends[at.type]!);
    if (type === null || !this.#isDone(buf, starts, ends)) return false;
    const { ids } = type;
    if (!isPlainId(buf, starts, ends, ids.requestId) || !isPlainId(buf, starts, ends, ids.transactionId)) return false;
    if (
      !isPlainId(buf, starts, ends, ids.originalRequestId) ||
      !isPlainId(buf, starts, ends, ids.originalTransactionId)
    )
      return false;
    if (type.ownId && isBlank(starts, ends, ids.requestId)) return false;
    if (
      type.matchBy === 'original' &&
      isBlank(starts, ends, ids.originalRequestId) &&
      isBlank(starts, ends, ids.originalTransactionId)
    )
      return false;
    if (!this.#isCustomer(buf, starts, ends) || !this.#isBatch(buf, starts, ends)) return false;
    // Blank, 0 or 1: no instalments.
    if (
      !isBlank(starts, ends, at.instalments) &&
      (ends[at.instalments]! - starts[at.instalments]! > 1 || (buf[starts[at.instalments]!]! | 1) !== 0x31)
    )
      return false;

    const transaction = this.#transaction;
    const currency = codeAt(buf, starts, ends, transaction.currency);
    const digits = DIGITS_OF_CODE.get(currency);
    if (digits === undefined) return false;
    const amount = amountAt(buf, starts[transaction.amount]!, ends[transaction.amount]!, digits, this.#isMinor);
    if (Number.isNaN(amount)) return false;
    const paidAt = at.paidAt < 0 ? BLANK_TIME : timeAt(buf, starts[at.paidAt]!, ends[at.paidAt]!);
    if (Number.isNaN(paidAt)) return false;

    let settlement = 0;
    let fee = Number.NaN;
    if (this.#settlement !== null) {
      if (currency !== this.#settlementCurrency) return false;
      settlement = this.#settlementOf(reader, amount, type);
      if (Number.isNaN(settlement)) return false;
      fee = this.#fee;
    } else if (type.direction === 1 && amount < 0) return false;
    if (!this.#seeSettledAt(buf, starts, ends)) return false;

    this.#writeRow(reader, writer, type, amount, settlement, fee, paidAt);
    this.#count(type, settlement, fee, paidAt);
    if (this.#settlement === null && type.direction === -1 && amount > 0) this.#returnsAbove++;
    return true;
  }

  /** The fee of the row that `#settlementOf` read last; NaN where none stands. */
  #fee = Number.NaN;

  /** The settlement amount, where it is what amount and fees make; NaN where the row needs a closer look. */
  #settlementOf({ buf, starts, ends }: RowReader, amount: number, type: PlainType): number {
    const cells = this.#settlement!;
    const digits = this.#settlementDigits;
    const code = codeAt(buf, starts, ends, cells.currency);
    if (code !== this.#settlementCurrency) return Number.NaN;
    const settlement = amountAt(buf, starts[cells.amount]!, ends[cells.amount]!, digits, this.#isMinor);
    const deducted = this.#deductedOf(buf, starts, ends);
    if (Number.isNaN(settlement) || deducted === null) return Number.NaN;

    let charges = 0;
    let breakdown = 0;
    let hasBreakdown = false;
    let fee = Number.NaN;
    for (const other of this.#otherAmounts) {
      const from = starts[other.amount]!;
      const to = ends[other.amount]!;
      const hasCurrency = other.currency >= 0 && starts[other.currency]! < ends[other.currency]!;
      if (hasCurrency && codeAt(buf, starts, ends, other.currency) !== code) return Number.NaN;
      if (from === to) continue;
      if (!hasCurrency || other.role === 'converted') return Number.NaN;
      const value = amountAt(buf, from, to, digits, this.#isMinor);
      if (Number.isNaN(value)) return Number.NaN;
      if (other.role === 'breakdown') {
        breakdown += value;
        hasBreakdown = true;
        continue;
      }
      if (other.role === 'fee') fee = Number.isNaN(fee) ? value : fee + value;
      charges += (other.role === 'discount') !== deducted.includes(other.column) ? -value : value;
    }
    if (Math.abs(fee) >= MAX_AMOUNT) return Number.NaN;
    if (Math.abs(amount + charges - settlement) > this.#tolerance) return Number.NaN;
    if ((settlement - charges) * type.direction < 0) return Number.NaN;
    if (hasBreakdown && !(Math.abs(fee - breakdown) <= this.#tolerance)) return Number.NaN;
    this.#fee = fee;
    return settlement;
  }

  #writeRow(
    reader: RowReader,
    writer: CopyWriter,
    type: PlainType,
    amount: number,
    settlement: number,
    fee: number,
    paidAt: number,
  ) {
    const { buf, starts, ends } = reader;
    const { requestId, transactionId, originalRequestId, originalTransactionId } = type.ids;
    writer.int2(type.flags);
    writer.asciiBytes(type.bytes, 0, type.bytes.length);
    writer.asciiCell(buf, starts, ends, requestId);
    const hasRequestId = !isBlank(starts, ends, requestId);
    const key = hasRequestId ? requestId : transactionId;
    if (isBlank(starts, ends, key)) writer.null();
    else {
      hashBytes(buf, starts[key]!, ends[key]!, hasRequestId ? 0 : 1);
      writer.int8Halves(hash.high, hash.low);
    }
    writer.asciiCell(buf, starts, ends, transactionId);
    writer.asciiCell(buf, starts, ends, originalRequestId);
    writer.asciiCell(buf, starts, ends, originalTransactionId);
    writer.safeInt8(amount);
    writer.asciiCell(buf, starts, ends, this.#transaction.currency);
    if (this.#settlement === null) writer.null();
    else writer.safeInt8(settlement);
    if (Number.isNaN(fee)) writer.null();
    else writer.safeInt8(fee);
    if (paidAt === BLANK_TIME) writer.null();
    else writer.safeTime(paidAt);
  }

  #count(type: PlainType, settlement: number, fee: number, paidAt: number): void {
    type.count++;
    type.settlement += settlement;
    if (!Number.isNaN(fee)) {
      type.fees += fee;
      type.feeCount++;
    }
    if (paidAt !== BLANK_TIME) {
      if (paidAt < this.#paidFrom) this.#paidFrom = paidAt;
      if (paidAt > this.#paidTo) this.#paidTo = paidAt;
    }
    this.#rows++;
  }

  /** Whether sums have to be moved on before they could become inexact: 4,096 amounts below 10^12 are below 2^53. */
  get isFull(): boolean {
    return this.#rows >= 4_096;
  }

  /** Adds what was counted to the facts of the chunk, and begins anew. */
  moveTo(facts: FactsCounter): void {
    for (const type of this.#types) {
      if (type.count === 0) continue;
      facts.addType(type.name, {
        count: type.count,
        settlementMinor: this.#settlement === null ? null : BigInt(type.settlement),
        feeMinor: type.feeCount === 0 ? null : BigInt(type.fees),
      });
      facts.matchableRows += type.count;
      type.count = type.settlement = type.fees = type.feeCount = 0;
    }
    facts.rows += this.#rows;
    facts.returnsAbove += this.#returnsAbove;
    this.#rows = this.#returnsAbove = 0;
    facts.addTimes(this.#settledFrom, this.#paidFrom, this.#paidTo);
  }

  /** Learns from a row that was read in full what the next rows may repeat. */
  learn({ buf, starts, ends }: RowReader): void {
    const cell = (index: number) =>
      index < 0 ? NOTHING : Uint8Array.prototype.slice.call(buf, starts[index], ends[index]);
    const { customerId, acquirer, settledAt } = this.#at;
    this.#customer = cell(customerId);
    // Whoever read that row has counted its time.
    this.#settledAt = cell(settledAt);
    const bytes = cell(acquirer);
    const isNew = !this.#acquirers.some((known) => equals(bytes, 0, bytes.length, known.bytes));
    if (!isNew || !isAsciiText(bytes, 0, bytes.length) || this.#acquirers.length >= 8) return;
    const name = Buffer.from(bytes).toString('latin1');
    this.#acquirers.push({ bytes, deducted: deductedOf(this.#context.format, name) });
  }

  #typeOf(buf: Uint8Array, start: number, end: number): PlainType | null {
    for (const type of this.#types) if (equals(buf, start, end, type.bytes)) return type;
    return null;
  }

  /** Listed as done, in the very letters; where the report says nothing of it, all that it lists is. */
  #isDone(buf: Uint8Array, starts: Int32Array, ends: Int32Array): boolean {
    const { status } = this.#at;
    if (status < 0) return true;
    for (const done of this.#doneStatuses) if (equals(buf, starts[status]!, ends[status]!, done)) return true;
    return false;
  }

  #deductedOf(buf: Uint8Array, starts: Int32Array, ends: Int32Array): readonly string[] | null {
    const { acquirer } = this.#at;
    if (acquirer < 0) return this.#deducted;
    for (const known of this.#acquirers)
      if (equals(buf, starts[acquirer]!, ends[acquirer]!, known.bytes)) return known.deducted;
    return null;
  }

  #isCustomer(buf: Uint8Array, starts: Int32Array, ends: Int32Array): boolean {
    const { customerId, acquirer } = this.#at;
    if (customerId >= 0 && !equals(buf, starts[customerId]!, ends[customerId]!, this.#customer)) return false;
    return (
      acquirer < 0 || this.#acquirers.some((known) => equals(buf, starts[acquirer]!, ends[acquirer]!, known.bytes))
    );
  }

  #isBatch(buf: Uint8Array, starts: Int32Array, ends: Int32Array): boolean {
    const { batchId } = this.#at;
    if (batchId < 0 || starts[batchId] === ends[batchId]) return true;
    const start = starts[batchId]!;
    const id = this.#context.batchId;
    if (id === null || ends[batchId]! - start !== id.length) return false;
    for (let i = 0; i < id.length; i++) if (buf[start + i] !== id.charCodeAt(i)) return false;
    return true;
  }

  /** The time of settlement, which is the same in nearly all rows of a report. */
  #seeSettledAt(buf: Uint8Array, starts: Int32Array, ends: Int32Array): boolean {
    const { settledAt } = this.#at;
    if (settledAt < 0) return true;
    const [start, end] = [starts[settledAt]!, ends[settledAt]!];
    if (start === end || equals(buf, start, end, this.#settledAt)) return true;
    const micros = timeAt(buf, start, end);
    if (Number.isNaN(micros)) return false;
    if (micros < this.#settledFrom) this.#settledFrom = micros;
    this.#settledAt = Uint8Array.prototype.slice.call(buf, start, end);
    return true;
  }
}

type PlainType = {
  readonly bytes: Uint8Array;
  readonly name: string;
  readonly ids: IdPositions;
  readonly ownId: boolean;
  readonly direction: 1 | -1 | 0;
  readonly matchBy: MatchBy;
  readonly flags: number;
  count: number;
  settlement: number;
  fees: number;
  feeCount: number;
};
type AmountCells = {
  readonly column: string;
  readonly role: string;
  readonly amount: number;
  readonly currency: number;
};

const NOTHING = new Uint8Array(0);

type ColumnPositions = Readonly<Partial<Record<string, number>>>;

/** Where the cells stand; −1 for a column that the report lacks. */
type Positions = Readonly<Record<keyof typeof COLUMNS, number>>;
const COLUMNS = {
  type: 'transactionType',
  status: 'status',
  paidAt: 'paymentTime',
  settledAt: 'settlementTime',
  batchId: 'settlementBatchId',
  customerId: 'customerId',
  acquirer: 'acquirer',
  instalments: 'installmentsNum',
} as const;

const positionsOf = (at: ColumnPositions): Positions =>
  Object.fromEntries(Object.entries(COLUMNS).map(([name, column]) => [name, at[column] ?? -1])) as Positions;

type IdPositions = Readonly<
  Record<'requestId' | 'transactionId' | 'originalRequestId' | 'originalTransactionId', number>
>;

/** Where rows of a type have their ids; −1 where they have none. */
function idPositionsOf(at: ColumnPositions, { ids = {} }: TypeRule): IdPositions {
  const positionOf = (id: IdColumn) => (ids[id] === null ? -1 : (at[ids[id] ?? id] ?? -1));
  return {
    requestId: positionOf('transactionRequestId'),
    transactionId: positionOf('transactionId'),
    originalRequestId: positionOf('originalTransactionRequestId'),
    originalTransactionId: positionOf('originalTransactionId'),
  };
}
