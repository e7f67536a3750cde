import { RowRefused } from '../errors.ts';
import type { Currency } from '../money/currency.ts';
import { type BankEvent, bankAmount, currencyIn, dayNear, StatementCollector, shortDay } from './statement.ts';

/** How many lines of one field are kept: `:86:` has six of 65 characters by the standard, and banks write more. */
const MAX_FIELD_LINES = 200;

type Field = { readonly tag: string; readonly line: number; readonly lines: string[] };
type Draft = { readonly field: Field; readonly info: string[] };

/** Value date, booking day, mark, funds code, amount, type, reference of the owner, of the bank. */
const ENTRY =
  /^(?<value>\d{6})(?<booking>\d{4})?(?<mark>R?[CD]|E[CD])(?<funds>[A-Z])?(?<amount>\d[\d,]*)(?<type>[A-Z][A-Z0-9]{3})(?<rest>.*)$/;
/** Fields that only a statement has. */
const OF_STATEMENT = /^(?:25P?|28C?|60[FM]|61|62[FM])$/;
const BALANCE = /^(?<mark>[CD])(?<day>\d{6})(?<currency>[A-Z]{3})(?<amount>\d[\d,]*)$/;

/**
 * Reads MT940 (SWIFT) line by line, with or without its block envelope, any number of messages in a file. Each message is a statement: the
 * pages of a long one (28C 114/1, 114/2) each have balances of their own.
 * ```ts
 * for (const line of lines) use(reader.push(line)); // without line ends
 * use(reader.end());
 * ```
 */
export class Mt940Reader {
  readonly #statement = new StatementCollector();
  #line = 0;
  #field: Field | null = null;
  #draft: Draft | null = null;
  #isAfterClosing = false;

  push(text: string): BankEvent[] {
    this.#line++;
    // Blanks at the end of a line are part of a text that goes on in the next.
    const line = text.replace(/\r$/, '');
    const tag = /^:(\d\d[A-Z]?):/.exec(line)?.[1];
    if (tag !== undefined) {
      this.#endField();
      this.#field = { tag, line: this.#line, lines: [line.slice(tag.length + 2)] };
    } else if (/^(-\s*$|-}|{)/.test(line)) this.#endMessage();
    else if (this.#field && line.trim() !== '' && this.#field.lines.length < MAX_FIELD_LINES)
      this.#field.lines.push(line);
    return this.#statement.take();
  }

  end(): BankEvent[] {
    this.#endMessage();
    return this.#statement.take();
  }

  #endMessage(): void {
    this.#endField();
    this.#endEntry();
    this.#statement.end();
  }

  #endField(): void {
    const field = this.#field;
    this.#field = null;
    if (field === null) return;
    const statement = this.#statement;
    if (field.tag === '20') {
      this.#endEntry();
      statement.end();
      statement.begin(field.line);
      this.#isAfterClosing = false;
      return;
    }
    if (!statement.isOpen) {
      if (!OF_STATEMENT.test(field.tag)) return;
      // Its first line is lost: what it says is read all the same.
      statement.begin(field.line);
      this.#isAfterClosing = false;
    }
    try {
      this.#read(field);
    } catch (error) {
      if (!(error instanceof RowRefused)) throw error;
      statement.spoil(error);
    }
  }

  #read(field: Field): void {
    const statement = this.#statement;
    const [text = ''] = field.lines;
    switch (field.tag) {
      case '25':
      case '25P':
        statement.account = accountIn(text);
        return;
      case '28':
      case '28C':
        statement.number = text.trim() || null;
        return;
      case '60F':
      case '60M':
        [statement.openingMinor, statement.from] = this.#balance(text, field.tag);
        return;
      case '61':
        this.#endEntry();
        this.#draft = { field, info: [] };
        return;
      case '86':
        // Behind the closing balance it says something of the whole statement.
        if (this.#draft && !this.#isAfterClosing) this.#draft.info.push(...field.lines);
        return;
      case '62F':
      case '62M':
        this.#endEntry();
        [statement.closingMinor, statement.to] = this.#balance(text, field.tag);
        this.#isAfterClosing = true;
    }
  }

  #balance(text: string, tag: string): [bigint, string] {
    const parts = BALANCE.exec(text.trim())?.groups;
    if (parts === undefined) throw new RowRefused('bad_amount', `:${tag}:`, text);
    const statement = this.#statement;
    const currency = currencyIn(parts['currency']!, `:${tag}:`);
    if (statement.currency !== null && statement.currency !== currency)
      throw new RowRefused('other_currency', `:${tag}:`, text);
    statement.currency = currency;
    const amount = bankAmount(parts['amount']!, currency, ',', `:${tag}:`);
    return [parts['mark'] === 'C' ? amount : -amount, shortDay(parts['day']!, `:${tag}:`)];
  }

  #endEntry(): void {
    const draft = this.#draft;
    this.#draft = null;
    if (draft === null) return;
    const statement = this.#statement;
    try {
      if (statement.currency === null) throw new RowRefused('missing_currency', ':60F:', '');
      statement.add(entryFrom(draft, statement.currency));
    } catch (error) {
      if (!(error instanceof RowRefused)) throw error;
      statement.refuse(draft.field.line, error);
    }
  }
}

/** `NL91ABNA0417164300`, `37040044/0532013000`, `NL91ABNA0417164300EUR` and `… EUR` as the account alone. */
function accountIn(text: string): string | null {
  const account = text.trim().replace(/\s*\b[A-Z]{3}$/, '');
  // An IBAN with a currency directly behind it is longer than those of its country, which nothing here knows: digits must stand before.
  return (/^([A-Z]{2}\d\d[A-Z0-9]*\d)[A-Z]{3}$/.exec(account)?.[1] ?? account).replaceAll(' ', '') || null;
}

function entryFrom({ field, info }: Draft, currency: Currency) {
  const [text = '', ...supplement] = field.lines;
  const parts = ENTRY.exec(text)?.groups;
  if (parts === undefined) throw new RowRefused('bad_entry', ':61:', text);
  const mark = parts['mark']!;
  const amount = bankAmount(parts['amount']!, currency, ',', ':61:');
  const valueDate = shortDay(parts['value']!, ':61:');
  // RC takes back a credit, so it is a debit. EC and ED are expected only.
  const isCredit = mark === 'C' || mark === 'RD' || mark === 'EC';
  const [owner = '', bank = ''] = splitAt(parts['rest']!, '//');
  const remittance = remittanceOf(info);
  const isNamed = owner.trim() !== '' && owner.trim() !== 'NONREF';
  return {
    line: field.line,
    bookingDate: parts['booking'] === undefined ? valueDate : dayNear(parts['booking'], valueDate, ':61:'),
    valueDate,
    amountMinor: isCredit ? amount : -amount,
    currency,
    status: mark.startsWith('E') ? ('pending' as const) : ('booked' as const),
    isReversal: mark.startsWith('R'),
    reference: remittance.endToEndId ?? (isNamed ? owner.trim() : bank.trim() || null),
    references: [owner.trim(), bank.trim(), ...supplement.map((line) => line.trim()), ...remittance.texts].filter(
      (word) => word !== '',
    ),
    counterpartyName: remittance.name,
    counterpartyAccount: remittance.account,
    chargesMinor: chargesIn([...supplement, ...remittance.texts], currency),
  };
}

const splitAt = (text: string, mark: string): [string, string] => {
  const at = text.indexOf(mark);
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + mark.length)];
};

type Remittance = {
  readonly texts: readonly string[];
  readonly name: string | null;
  readonly account: string | null;
  readonly endToEndId: string | null;
};

/** What `:86:` says: in German subfields (`166?00…?20…`), in words between slashes (`/EREF/…/NAME/…`), or freely. */
function remittanceOf(lines: readonly string[]): Remittance {
  // A line ends where it is full, amid words and numbers.
  const whole = lines.join('');
  const code = /^\d{3}([^A-Za-z0-9 ])/.exec(whole)?.[1];
  if (code !== undefined) return subfieldsOf(whole, code);
  const words = wordsOf(whole);
  const texts = [lines.join(' '), whole];
  if (words.size === 0) return { texts: [...new Set(texts)], name: null, account: null, endToEndId: null };
  return {
    texts: [...texts, ...words.values()],
    name: words.get('NAME') ?? words.get('BENM') ?? words.get('ORDP') ?? null,
    account: words.get('IBAN') ?? null,
    endToEndId: known(words.get('EREF')),
  };
}

const known = (id: string | undefined): string | null =>
  id === undefined || /^(NOTPROVIDED|NONREF|)$/.test(id.trim()) ? null : id.trim();

/** `/TRTP/SEPA OVERBOEKING/IBAN/NL…/NAME/…/EREF/…`: each word of capitals between slashes names what follows it. */
function wordsOf(text: string): Map<string, string> {
  const words = new Map<string, string>();
  const parts = text.split(/\/([A-Z]{3,4})\//);
  for (let at = 1; at < parts.length; at += 2) {
    const value = parts[at + 1]!.replace(/[/\s]+$/, '').trim();
    if (value !== '') words.set(parts[at]!, value);
  }
  return words;
}

/** `?20` to `?29` and `?60` to `?63` are one text, `?32` and `?33` the name, `?31` the account. */
function subfieldsOf(text: string, mark: string): Remittance {
  const parts = text.split(mark).slice(1);
  const of = (test: RegExp, glue: string) =>
    parts
      .filter((part) => test.test(part))
      .map((part) => part.slice(2))
      .join(glue);
  const purpose = /^(2\d|6[0-3])/;
  const remittance = of(purpose, '');
  const endToEndId = /EREF\+(.*?)(?:(?:KREF|MREF|CRED|DEBT|SVWZ|ABWA|ABWE|COAM|OAMT)\+|$)/.exec(remittance)?.[1];
  return {
    texts: [...new Set([remittance, of(purpose, ' '), of(/^(00|10)/, ' ')])].filter((part) => part !== ''),
    name: of(/^3[23]/, '').trim() || null,
    account: of(/^31/, '').trim() || null,
    endToEndId: known(endToEndId),
  };
}

/** `/CHGS/EUR2,50` and `/CHRG/…`, `COAM+…`: what the bank kept, where the entry says so in its currency. */
function chargesIn(texts: readonly string[], currency: Currency): bigint | null {
  for (const text of texts) {
    const found = new RegExp(`(?:/(?:CHGS|CHRG)/|COAM\\+)(?:${currency})? ?(\\d+(?:,\\d*)?)`).exec(text)?.[1];
    if (found === undefined) continue;
    try {
      return bankAmount(found, currency, ',', ':86:');
    } catch {
      // Not an amount of this currency: the entry says nothing that can be used.
    }
  }
  return null;
}
