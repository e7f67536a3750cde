import { RowRefused } from '../errors.ts';
import { type BankEvent, bankAmount, currencyIn, dayOf, type EntryStatus, StatementCollector } from './statement.ts';

/** Characters of one text that are kept: the standard has 140 of remittance, and 500 of additional information. */
const MAX_TEXT = 2_000;
/** Details of one entry whose references are kept: a batch-booked entry may have tens of thousands. */
const MAX_DETAILS = 100_000;
/** Characters of all of them. */
const MAX_DETAIL_TEXT = 4_000_000;

/** Elements with text that is read, by the path from the statement or the entry down; `*` stands for one element of any name. */
const STATEMENT_TEXTS: Readonly<Record<string, string>> = {
  'Acct/Id/IBAN': 'account',
  'Acct/Id/Othr/Id': 'account',
  'Acct/Ccy': 'currency',
  Id: 'id',
  ElctrncSeqNb: 'number',
  LglSeqNb: 'legalNumber',
  'FrToDt/FrDtTm': 'from',
  'FrToDt/ToDtTm': 'to',
  'StmtPgntn/PgNb': 'page',
  'RptPgntn/PgNb': 'page',
};
const BALANCE_TEXTS: Readonly<Record<string, string>> = {
  'Tp/CdOrPrtry/Cd': 'code',
  Amt: 'amount',
  CdtDbtInd: 'mark',
  'Dt/Dt': 'day',
  'Dt/DtTm': 'day',
};
const ENTRY_TEXTS: Readonly<Record<string, string>> = {
  NtryRef: 'reference',
  Amt: 'amount',
  CdtDbtInd: 'mark',
  RvslInd: 'reversal',
  Sts: 'status',
  'Sts/Cd': 'status',
  'BookgDt/Dt': 'booking',
  'BookgDt/DtTm': 'booking',
  'ValDt/Dt': 'value',
  'ValDt/DtTm': 'value',
  AcctSvcrRef: 'bank',
  AddtlNtryInf: 'text',
  'Chrgs/TtlChrgsAndTaxAmt': 'charges',
  'Chrgs/Rcrd/Amt': 'charge',
};
/** Below `NtryDtls/TxDtls`. */
const DETAIL_TEXTS: Readonly<Record<string, string>> = {
  'Refs/EndToEndId': 'endToEnd',
  'RmtInf/Ustrd': 'text',
  AddtlTxInf: 'text',
  'RmtInf/Strd/CdtrRefInf/Ref': 'text',
  'RmtInf/Strd/RfrdDocInf/Nb': 'text',
  'RmtInf/Strd/AddtlRmtInf': 'text',
  'RltdPties/Dbtr/Nm': 'debtor',
  'RltdPties/Dbtr/Pty/Nm': 'debtor',
  'RltdPties/Cdtr/Nm': 'creditor',
  'RltdPties/Cdtr/Pty/Nm': 'creditor',
  'RltdPties/DbtrAcct/Id/IBAN': 'debtorAccount',
  'RltdPties/DbtrAcct/Id/Othr/Id': 'debtorAccount',
  'RltdPties/CdtrAcct/Id/IBAN': 'creditorAccount',
  'RltdPties/CdtrAcct/Id/Othr/Id': 'creditorAccount',
  'Chrgs/Rcrd/Amt': 'charge',
};
const BATCH_BOOKING = /^NtryDtls\/Btch\/(?:MsgId|PmtInfId)$/;
const DETAILS = 'NtryDtls/TxDtls/';

/** Statement, report of the running day, notification: which of them is the bank's last word. */
const KINDS: Readonly<Record<string, boolean>> = { Stmt: true, Rpt: false, Ntfctn: false };

/** All names that are read; of others only the depth matters. */
export const CAMT_NAMES: readonly string[] = [
  ...new Set(
    [
      ...Object.keys(KINDS),
      'Document',
      'Ntry',
      'Bal',
      'NtryDtls/TxDtls/Refs',
      ...'MsgId AcctSvcrRef PmtInfId InstrId EndToEndId UETR TxId MndtId ChqNb ClrSysRef AcctOwnrTxId AcctSvcrTxId MktInfrstrctrTxId PrcgId Prtry Ref'.split(
        ' ',
      ),
      'NtryDtls/Btch/MsgId/PmtInfId',
      ...[STATEMENT_TEXTS, BALANCE_TEXTS, ENTRY_TEXTS, DETAIL_TEXTS].flatMap((texts) => Object.keys(texts)),
    ].flatMap((path) => path.split('/')),
  ),
];

type Texts = {
  readonly line: number;
  readonly first: Map<string, string>;
  readonly all: string[];
  currency: string;
  details: number;
  length: number;
};

/** An element below an entry or a balance, by the names above it: joining them anew for each text is a tenth of the time. */
type Place = { readonly path: string; readonly below: Map<string, Place> };
const IN_PART: Place = { path: '', below: new Map() };
/** Made-up files may nest elements in any way. */
const MAX_PLACES = 5_000;
let places = 0;

function placeBelow({ path, below }: Place, name: string): Place {
  const known = below.get(name);
  if (known) return known;
  const place = { path: path === '' ? name : `${path}/${name}`, below: new Map<string, Place>() };
  if (places++ < MAX_PLACES) below.set(name, place);
  return place;
}

/**
 * Reads camt.052, .053 and .054 (ISO 20022) from the elements of its XML, of whatever version: `open`, `text` and `close` as they stream by.
 * One statement an account and day; an entry that was booked as a batch is one entry with the references of all its details.
 */
export class CamtReader {
  readonly #statement = new StatementCollector();
  readonly #path: string[] = [];
  /** How deep the statement and, in it, the entry or balance stands; 0 where there is none. */
  #statementDepth = 0;
  #partDepth = 0;
  #part: 'Ntry' | 'Bal' | null = null;
  #texts: Texts | null = null;
  /** Those that are open in it. */
  readonly #places: Place[] = [];
  #statementTexts = new Map<string, string>();
  #text = '';
  #amountCurrency = '';
  /** Interim balances: on the pages of a long statement they stand for its opening and closing ones. */
  #firstInterim: bigint | null = null;
  #lastInterim: bigint | null = null;

  /** `currency` is the attribute `Ccy` of an amount. */
  open(name: string, currency: string | null, line: number): void {
    this.#path.push(name);
    this.#text = '';
    this.#amountCurrency = currency ?? '';
    const depth = this.#path.length;
    if (this.#statementDepth === 0) {
      if (KINDS[name] !== undefined && depth === 3) this.#beginStatement(name, line);
    } else if (this.#partDepth > 0) this.#places.push(placeBelow(this.#places.at(-1) ?? IN_PART, name));
    else if (depth === this.#statementDepth + 1 && (name === 'Ntry' || name === 'Bal')) {
      this.#part = name;
      this.#partDepth = depth;
      this.#texts = { line, first: new Map(), all: [], currency: '', details: 0, length: 0 };
    }
  }

  text(text: string): void {
    if (this.#statementDepth > 0 && this.#text.length < MAX_TEXT) this.#text += text.slice(0, MAX_TEXT);
  }

  close(): BankEvent[] {
    const depth = this.#path.length;
    if (this.#statementDepth > 0) {
      if (depth === this.#partDepth) this.#endPart();
      else if (this.#partDepth > 0) this.#keepText(this.#places.pop()!);
      else if (depth === this.#statementDepth) this.#endStatement();
      else this.#keepStatementText();
    }
    this.#text = '';
    this.#path.pop();
    return this.#statement.take();
  }

  #beginStatement(name: string, line: number): void {
    this.#statementDepth = this.#path.length;
    this.#statementTexts = new Map();
    this.#firstInterim = this.#lastInterim = null;
    this.#statement.begin(line);
    this.#statement.isFinal = KINDS[name]!;
    this.#statement.mayTurnReversals = true;
  }

  #keepStatementText(): void {
    const field = STATEMENT_TEXTS[this.#path.slice(this.#statementDepth).join('/')];
    const text = this.#text.trim();
    if (field === undefined || text === '' || this.#statementTexts.has(field)) return;
    this.#statementTexts.set(field, text);
    if (field === 'currency') this.#tryStatement(() => this.#setCurrency(text, 'Acct/Ccy'));
  }

  #keepText({ path }: Place): void {
    const text = this.#text.trim();
    if (text === '') return;
    if (this.#part === 'Bal') this.#keepFirst(BALANCE_TEXTS[path], text);
    else if (path.startsWith(DETAILS)) this.#keepDetail(path.slice(DETAILS.length), text);
    else if (BATCH_BOOKING.test(path)) this.#keepReference(text);
    else this.#keepFirst(ENTRY_TEXTS[path], text);
  }

  #keepDetail(path: string, text: string): void {
    const field = DETAIL_TEXTS[path];
    if (path.startsWith('Refs/') || field === 'text') this.#keepReference(text);
    if (field !== 'text') this.#keepFirst(field, text);
    if (path === 'Refs/EndToEndId') this.#texts!.details++;
  }

  #keepReference(text: string): void {
    const texts = this.#texts!;
    if (texts.all.length >= MAX_DETAILS || texts.length > MAX_DETAIL_TEXT || /^(NOTPROVIDED|NONREF)$/.test(text))
      return;
    texts.length += text.length;
    texts.all.push(text);
  }

  #keepFirst(field: string | undefined, text: string): void {
    const texts = this.#texts!;
    if (field === undefined) return;
    if (field === 'amount' && texts.currency === '') texts.currency = this.#amountCurrency;
    if (!texts.first.has(field)) texts.first.set(field, text);
  }

  #endPart(): void {
    const texts = this.#texts!;
    const part = this.#part;
    this.#part = this.#texts = null;
    this.#partDepth = 0;
    if (part === 'Bal') this.#tryStatement(() => this.#setBalance(texts));
    else this.#addEntry(texts);
  }

  #tryStatement(read: () => void): void {
    try {
      read();
    } catch (error) {
      if (!(error instanceof RowRefused)) throw error;
      this.#statement.spoil(error);
    }
  }

  #setCurrency(text: string, field: string): void {
    const currency = currencyIn(text, field);
    const statement = this.#statement;
    if (statement.currency !== null && statement.currency !== currency)
      throw new RowRefused('other_currency', field, text);
    statement.currency = currency;
  }

  /** OPBD or PRCD is what the account began with, CLBD what it ended with. Other balances are interim or say what may be used. */
  #setBalance({ first, currency }: Texts): void {
    const code = first.get('code');
    const statement = this.#statement;
    if (code !== 'OPBD' && code !== 'PRCD' && code !== 'CLBD' && code !== 'ITBD') return;
    this.#setCurrency(currency, 'Bal/Amt');
    const balance = signed(
      first,
      bankAmount(first.get('amount') ?? '', statement.currency!, '.', 'Bal/Amt'),
      'Bal/CdtDbtInd',
    );
    const day = dayIn(first.get('day'), 'Bal/Dt');
    if (code === 'ITBD') {
      this.#firstInterim ??= balance;
      this.#lastInterim = balance;
    } else if (code === 'CLBD') {
      statement.closingMinor = balance;
      statement.to = day;
    } else if (statement.openingMinor === null || code === 'OPBD') statement.openingMinor = balance;
  }

  #addEntry(texts: Texts): void {
    const { first, all, line } = texts;
    const statement = this.#statement;
    try {
      const currency = currencyIn(texts.currency, 'Ntry/Amt');
      statement.currency ??= currency;
      if (currency !== statement.currency) throw new RowRefused('other_currency', 'Ntry/Amt', currency);
      const amountMinor = signed(
        first,
        bankAmount(first.get('amount') ?? '', currency, '.', 'Ntry/Amt'),
        'Ntry/CdtDbtInd',
      );
      const isCredit = first.get('mark') === 'CRDT';
      const charge = first.get('charges') ?? first.get('charge');
      const entryTexts = ['reference', 'bank', 'text'].flatMap((field) => first.get(field) ?? []);
      statement.add({
        line,
        bookingDate: dayIn(first.get('booking'), 'Ntry/BookgDt'),
        valueDate: dayIn(first.get('value'), 'Ntry/ValDt'),
        amountMinor,
        currency,
        status: statusOf(first.get('status')),
        isReversal: /^(true|1)$/.test(first.get('reversal') ?? ''),
        reference: texts.details > 1 ? (first.get('reference') ?? all[0] ?? null) : (nameOf(first) ?? all[0] ?? null),
        references: [...new Set([...entryTexts, ...all])],
        // Who pays a credit is its debtor.
        counterpartyName: first.get(isCredit ? 'debtor' : 'creditor') ?? null,
        counterpartyAccount: first.get(isCredit ? 'debtorAccount' : 'creditorAccount') ?? null,
        chargesMinor: charge === undefined ? null : chargesOf(charge, currency),
      });
    } catch (error) {
      if (!(error instanceof RowRefused)) throw error;
      statement.refuse(line, error);
    }
  }

  #endStatement(): void {
    this.#statementDepth = 0;
    const texts = this.#statementTexts;
    const statement = this.#statement;
    statement.account = texts.get('account') ?? null;
    statement.number = texts.get('number') ?? texts.get('legalNumber') ?? texts.get('id') ?? null;
    const page = texts.get('page');
    if (page !== undefined) {
      if (statement.number !== null) statement.number += `/${page}`;
      if (page !== '1') statement.openingMinor ??= this.#firstInterim;
      statement.closingMinor ??= this.#lastInterim;
    }
    this.#tryStatement(() => {
      statement.from = dayIn(texts.get('from'), 'FrToDt') ?? statement.to;
      statement.to = dayIn(texts.get('to'), 'FrToDt') ?? statement.to;
    });
    statement.end();
  }
}

function nameOf(first: ReadonlyMap<string, string>): string | null {
  const endToEnd = first.get('endToEnd');
  if (endToEnd !== undefined && !/^(NOTPROVIDED|NONREF)$/.test(endToEnd)) return endToEnd;
  return first.get('reference') ?? first.get('bank') ?? null;
}

function signed(first: ReadonlyMap<string, string>, amount: bigint, field: string): bigint {
  const mark = first.get('mark') ?? '';
  if (mark !== 'CRDT' && mark !== 'DBIT') throw new RowRefused('bad_mark', field, mark);
  return mark === 'CRDT' ? amount : -amount;
}

function statusOf(text = 'BOOK'): EntryStatus {
  if (text === 'BOOK') return 'booked';
  if (text === 'PDNG' || text === 'FUTR') return 'pending';
  if (text === 'INFO') return 'information';
  throw new RowRefused('not_allowed', 'Ntry/Sts', text);
}

/** The day of a date or a time, as it is printed. */
function dayIn(text: string | undefined, field: string): string | null {
  if (text === undefined) return null;
  const parts = /^(\d{4})-(\d\d)-(\d\d)(?:T.*|Z|[+-]\d\d:\d\d)?$/.exec(text);
  if (parts === null) throw new RowRefused('bad_day', field, text);
  return dayOf(Number(parts[1]), Number(parts[2]), Number(parts[3]), field, text);
}

function chargesOf(text: string, currency: Parameters<typeof bankAmount>[1]): bigint | null {
  try {
    return bankAmount(text, currency, '.', 'Ntry/Chrgs');
  } catch {
    return null;
  }
}
