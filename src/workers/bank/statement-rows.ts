import { createHash, type Hash } from 'node:crypto';
import { CopyWriter } from '../../adapters/postgres/copy-binary.ts';
import type { BankEntry, BankEvent, BankStatement } from '../../domain/bank/statement.ts';
import type { RowRefused } from '../../domain/errors.ts';
import { ENTRY_WIDTH, type StatementRow } from './read-statements.sql.ts';

/** A block is sent when it is so full. */
const BLOCK_BYTES = 1 << 18;
/** No file of a bank holds more; each is kept in memory until the file was read. */
const MAX_STATEMENTS = 100_000;

const DAY_MS = 86_400_000;
/** Where Postgres begins to count days. */
const POSTGRES_EPOCH_MS = Date.UTC(2000, 0, 1);

/** Postgres cannot store a NUL. */
const storable = (text: string): string => text.replaceAll('\0', '\uFFFD');

/** Gathers what a file of statements says: entries as rows to copy, and statements, which are known when all of their entries were read. */
export class StatementRows {
  readonly statements: StatementRow[] = [];
  /** Statements whose marks of reversal turn the sign. */
  readonly turned: number[] = [];
  readonly #fileNo: number;
  readonly #writer = new CopyWriter();
  #ordinal = 0;
  #statement = 1;
  #digest: Hash = createHash('sha256');
  #refusedLine: number | null = null;
  #refusedWhy: string | null = null;

  constructor(fileNo: number) {
    this.#fileNo = fileNo;
  }

  get isFull(): boolean {
    return this.statements.length >= MAX_STATEMENTS;
  }

  add(event: BankEvent): void {
    switch (event.type) {
      case 'entry':
        this.#addEntry(event.entry);
        return;
      case 'refusedEntry':
        this.#refusedLine ??= event.line;
        this.#refusedWhy ??= event.refused.message;
        this.#digest.update(`refused ${event.refused.message}\n`);
        return;
      case 'statement':
        this.#addStatement(event.statement);
        return;
      case 'refusedStatement':
        this.refuse(event.line, event.refused);
    }
  }

  /** Something that is no statement that can be used, and why. Entries of it are removed. */
  refuse(line: number, { code, message }: Pick<RowRefused, 'message'> & { readonly code: string }): void {
    this.#keep({ line, error_code: code, error_message: message });
  }

  /** What is there to be sent; null: not much yet. */
  block(): Buffer | null {
    return this.#writer.length < BLOCK_BYTES ? null : this.#writer.take();
  }

  finish(): Buffer {
    return this.#writer.finish();
  }

  #addEntry(entry: BankEntry): void {
    const writer = this.#writer;
    const { bookingDate, valueDate, reference } = entry;
    const texts = storable(entry.references.join('\n'));
    const hash = createHash('sha256').update(
      `${bookingDate}|${valueDate}|${entry.amountMinor}|${entry.status}|${entry.isReversal}|${reference}|${entry.counterpartyName}|${entry.counterpartyAccount}|${texts}`,
    );
    const key = hash.digest();
    this.#digest.update(key);
    writer.beginRow(ENTRY_WIDTH);
    writer.int4(this.#fileNo);
    writer.int4(++this.#ordinal);
    writer.int4(this.#statement);
    writer.int4(entry.line);
    writer.int8(key.readBigInt64BE(0));
    writer.text(entry.status);
    writer.boolean(entry.isReversal);
    writer.day(daysOf(bookingDate ?? valueDate));
    writer.day(daysOf(valueDate));
    writer.int8(entry.amountMinor);
    writer.int8(entry.chargesMinor);
    writer.text(reference === null ? null : storable(reference));
    writer.text(texts);
    writer.text(entry.counterpartyName === null ? null : storable(entry.counterpartyName));
    writer.text(entry.counterpartyAccount === null ? null : storable(entry.counterpartyAccount));
  }

  #addStatement(statement: BankStatement): void {
    const { account, currency, number, from, to, openingMinor, closingMinor, isFinal, refused } = statement;
    if (statement.turnsReversals) this.turned.push(this.#statement);
    const opening = openingMinor?.toString() ?? null;
    const closing = closingMinor?.toString() ?? null;
    const named = storable(account).replaceAll(/\s/g, '').toUpperCase();
    const said = JSON.stringify([named, currency, number, from, to, opening, closing, isFinal, refused]);
    this.#keep({
      line: statement.line,
      is_final: isFinal,
      account: named,
      currency,
      number: number === null ? null : storable(number),
      from_day: from,
      to_day: to,
      opening_minor: opening,
      closing_minor: closing,
      entry_count: statement.entries,
      booked_minor: statement.bookedMinor.toString(),
      refused_count: refused,
      digest: this.#digest.update(said).digest('hex'),
    });
  }

  #keep(row: Partial<StatementRow> & Pick<StatementRow, 'line'>): void {
    this.statements.push({
      ordinal: this.#statement++,
      is_final: true,
      account: null,
      currency: null,
      number: null,
      from_day: null,
      to_day: null,
      opening_minor: null,
      closing_minor: null,
      entry_count: 0,
      booked_minor: '0',
      refused_count: 0,
      refused_line: this.#refusedLine,
      refused_why: this.#refusedWhy === null ? null : storable(this.#refusedWhy),
      digest: null,
      error_code: null,
      error_message: null,
      ...row,
    });
    this.#digest = createHash('sha256');
    this.#refusedLine = this.#refusedWhy = null;
  }
}

const daysOf = (day: string | null): number | null =>
  day === null ? null : (Date.parse(day) - POSTGRES_EPOCH_MS) / DAY_MS;
