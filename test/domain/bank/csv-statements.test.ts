/** CSV statements by a format of one's own: what is read, in blocks of any size, and what is refused. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { openStatements, statementFormatOf } from '../../../src/adapters/file-formats/statements.ts';
import { loadStatementFormat } from '../../../src/config/statement-format.ts';
import { type BankEvent, balanceOf } from '../../../src/domain/bank/statement.ts';
import { temporaryFolder } from '../../support/book.ts';

const folder = temporaryFolder();
const formatOf = (yaml: string) => {
  const path = join(folder, 'format.yaml');
  writeFileSync(path, yaml);
  return loadStatementFormat(path, 'format.yaml');
};

const PLAIN = `kind: bankStatement
name: plain
account: NL91 ABNA 0417 1643 00
currency: EUR
dates: yyyy-MM-dd
columns: { bookingDate: Date, amount: Amount, references: [Ref, Text], counterpartyName: Name }
`;
const HEADER = 'Date,Amount,Ref,Text,Name\n';

function eventsOf(yaml: string, content: string | Buffer, blockBytes = 1 << 20): BankEvent[] {
  const bytes = Buffer.from(content);
  const format = formatOf(yaml);
  assert.deepEqual(statementFormatOf(bytes, [format]), format, 'the header is that of the format');
  const file = openStatements(format);
  const events: BankEvent[] = [];
  // One block of memory is used again and again, as by a reader of files.
  const block = Buffer.alloc(blockBytes);
  for (let at = 0; at < bytes.length; at += blockBytes) {
    const length = bytes.copy(block, 0, at, Math.min(bytes.length, at + blockBytes));
    file.push(block.subarray(0, length), events);
  }
  file.end(events);
  return events;
}

/** One line for each event, short enough for tables. */
const said = (events: readonly BankEvent[]): string[] =>
  events.map((event) => {
    if (event.type === 'refusedEntry' || event.type === 'refusedStatement')
      return `${event.type} ${event.line} ${event.refused.code} ${event.refused.column} ${event.refused.text}`;
    if (event.type === 'statement') {
      const { line, account, currency, to, openingMinor, closingMinor, entries } = event.statement;
      return `statement ${line} ${account} ${currency} ${to} ${openingMinor} ${closingMinor} ${entries} ${balanceOf(event.statement)}`;
    }
    const { line, bookingDate, valueDate, amountMinor, currency, status, reference } = event.entry;
    return `entry ${line} ${bookingDate} ${valueDate} ${amountMinor} ${currency} ${status} ${reference}`;
  });

const ACCOUNT = 'NL91ABNA0417164300';

suite('a plain one', () => {
  const content = `${HEADER}2026-03-02,12.30,R-1,"batch 7, and ""more""",Payer\n2026-03-02,-5,,fee,\n2026-03-03,+0.50,R-3,,\n`;
  const expected = [
    'entry 2 2026-03-02 null 1230 EUR booked R-1',
    'entry 3 2026-03-02 null -500 EUR booked fee',
    `statement 2 ${ACCOUNT} EUR 2026-03-02 null null 2 notStated`,
    'entry 4 2026-03-03 null 50 EUR booked R-3',
    `statement 4 ${ACCOUNT} EUR 2026-03-03 null null 1 notStated`,
  ];
  for (const blockBytes of [1, 7, 64, 1 << 20])
    test(`each day is a statement; without balances nothing is balanced (blocks of ${blockBytes})`, () => {
      assert.deepEqual(said(eventsOf(PLAIN, content, blockBytes)), expected);
    });
  test('every column in which a batch may be named is kept', () => {
    const [first] = eventsOf(PLAIN, content);
    assert.ok(first?.type === 'entry');
    assert.deepEqual(first.entry.references, ['R-1', 'batch 7, and "more"']);
    assert.equal(first.entry.counterpartyName, 'Payer');
  });
  test('line ends, a byte order mark, and no line end at all change nothing', () => {
    for (const other of [content.replaceAll('\n', '\r\n'), `\ufeff${content}`, content.trimEnd()])
      assert.deepEqual(said(eventsOf(PLAIN, other)), expected);
  });
  test('rows of a day need not stand together', () => {
    const events = said(eventsOf(PLAIN, `${HEADER}2026-03-02,1,a,,\n2026-03-03,2,b,,\n2026-03-02,3,c,,\n`));
    assert.deepEqual(events.slice(0, 3), [
      'entry 2 2026-03-02 null 100 EUR booked a',
      'entry 4 2026-03-02 null 300 EUR booked c',
      `statement 2 ${ACCOUNT} EUR 2026-03-02 null null 2 notStated`,
    ]);
  });
});

const GERMAN = `kind: bankStatement
name: sparkasse
delimiter: ";"
encoding: latin1
linesAbove: 3
decimal: ","
thousands: "."
dates: dd.MM.yy
order: newestFirst
pendingStatuses: Umsatz vorgemerkt
columns:
  account: Auftragskonto
  bookingDate: Buchungstag
  valueDate: Valuta
  amount: Betrag
  currency: Währung
  status: Info
  balance: Saldo
  references: Verwendungszweck
`;
const german = (...rows: string[]) =>
  Buffer.from(
    [
      'Kontoauszug; "März',
      '',
      'von;bis',
      'Auftragskonto;Buchungstag;Valuta;Betrag;Währung;Info;Saldo;Verwendungszweck',
      ...rows,
    ].join('\r\n'),
    'latin1',
  );

test('semicolons, lines above the header, Latin-1, decimal commas, groups, balances of the newest first, pending rows', () => {
  const events = eventsOf(
    GERMAN,
    german(
      'DE1;04.03.26;;1,00;EUR;Umsatz vorgemerkt;;später',
      'DE1;03.03.26;04.03.26;-1.000,00;EUR;gebucht;234,56;"Miete; März, ß"',
      'DE1;03.03.26;03.03.26;1.234,5;EUR;gebucht;1234,56;Batch 7',
      'DE1;02.03.26;02.03.26;0,06;EUR;gebucht;0,06;x',
    ),
  );
  assert.deepEqual(
    said(events),
    [
      'entry 5 2026-03-04 null 100 EUR pending später',
      'statement 5 DE1 EUR 2026-03-04 null null 1 notStated',
      'entry 6 2026-03-03 2026-03-04 -100000 EUR booked Miete; März, ß',
      'entry 7 2026-03-03 2026-03-03 123450 EUR booked Batch 7',
      'statement 6 DE1 EUR 2026-03-03 6 23456 2 balanced',
      'entry 8 2026-03-02 2026-03-02 6 EUR booked x',
      'statement 8 DE1 EUR 2026-03-02 0 6 1 balanced',
    ].map((line) => line.replace('März, ?', 'März, \u00ac')),
  );
});

suite('ways to print an amount', () => {
  const split = PLAIN.replace('amount: Amount', 'credit: In, debit: Out');
  const marked = `${PLAIN.replace('amount: Amount', 'amount: Amount, sign: DC')}creditMarks: [C, Bij]\ndebitMarks: D\n`;
  const accepted: readonly [string, string, string, string][] = [
    [split, 'Date,In,Out,Ref,Text,Name', '2026-03-02,5.10,,r,,', '510'],
    [split, 'Date,In,Out,Ref,Text,Name', '2026-03-02,0.00,5.10,r,,', '-510'],
    [split, 'Date,In,Out,Ref,Text,Name', '2026-03-02,,5,r,,', '-500'],
    [marked, 'Date,DC,Amount,Ref,Text,Name', '2026-03-02,Bij,5.10,r,,', '510'],
    [marked, 'Date,DC,Amount,Ref,Text,Name', '2026-03-02,D,5.10,r,,', '-510'],
    [
      `${PLAIN}thousands: space\ndecimal: ","\n`,
      HEADER.trim(),
      '2026-03-02,"-1\u00a0234\u202f567,8",r,,',
      '-123456780',
    ],
    [`${PLAIN}thousands: "'"\n`, HEADER.trim(), "2026-03-02,1'234.50,r,,", '123450'],
    [`${PLAIN}thousands: ","\n`, HEADER.trim(), '2026-03-02,1234.50,r,,', '123450'],
    [PLAIN.replace('EUR', 'JPY'), HEADER.trim(), '2026-03-02,1500,r,,', '1500'],
    [PLAIN.replace('EUR', 'KWD'), HEADER.trim(), '2026-03-02,1.234,r,,', '1234'],
  ];
  for (const [yaml, header, row, minor] of accepted)
    test(`${row} is ${minor}`, () => {
      const [first] = eventsOf(yaml, `${header}\n${row}\n`);
      assert.ok(first?.type === 'entry', JSON.stringify(said([first!])));
      assert.equal(first.entry.amountMinor, BigInt(minor));
    });

  const comma = `${PLAIN}decimal: ","\n`;
  const grouped = `${PLAIN}thousands: ","\n`;
  const refused: readonly [string, string, string, string][] = [
    [PLAIN, HEADER.trim(), '2026-03-02,"1,234.50",r,,', 'bad_amount Amount 1,234.50'],
    [PLAIN, HEADER.trim(), '2026-03-02,"1,23",r,,', 'bad_amount Amount 1,23'],
    [PLAIN, HEADER.trim(), '2026-03-02,1.234,r,,', 'too_many_decimals Amount 1.234'],
    [PLAIN, HEADER.trim(), '2026-03-02,1e3,r,,', 'bad_amount Amount 1e3'],
    [PLAIN, HEADER.trim(), '2026-03-02,--5,r,,', 'bad_amount Amount --5'],
    [PLAIN, HEADER.trim(), '2026-03-02,5-,r,,', 'bad_amount Amount 5-'],
    [PLAIN, HEADER.trim(), '2026-03-02,\u22125,r,,', 'bad_amount Amount \u22125'],
    [PLAIN, HEADER.trim(), '2026-03-02,EUR 5,r,,', 'bad_amount Amount EUR 5'],
    [PLAIN, HEADER.trim(), '2026-03-02,,r,,', 'missing_amount Amount '],
    [PLAIN, HEADER.trim(), '2026-03-02,10000000000000000000,r,,', 'out_of_range Amount 10000000000000000000'],
    [comma, HEADER.trim(), '2026-03-02,12.50,r,,', 'bad_amount Amount 12.50'],
    [comma, HEADER.trim(), '2026-03-02,"1.234,50",r,,', 'bad_amount Amount 1.234,50'],
    [grouped, HEADER.trim(), '2026-03-02,"1,23",r,,', 'bad_amount Amount 1,23'],
    [grouped, HEADER.trim(), '2026-03-02,"1234,567",r,,', 'bad_amount Amount 1234,567'],
    [grouped, HEADER.trim(), '2026-03-02,"-,5",r,,', 'bad_amount Amount -,5'],
    [grouped, HEADER.trim(), '2026-03-02,"1.234,567",r,,', 'bad_amount Amount 1.234,567'],
    [split, 'Date,In,Out,Ref,Text,Name', '2026-03-02,5,5,r,,', 'bad_mark Out 5'],
    [split, 'Date,In,Out,Ref,Text,Name', '2026-03-02,,,r,,', 'missing_amount In '],
    [split, 'Date,In,Out,Ref,Text,Name', '2026-03-02,,-5,r,,', 'bad_amount Out -5'],
    [marked, 'Date,DC,Amount,Ref,Text,Name', '2026-03-02,X,5,r,,', 'bad_mark DC X'],
    [marked, 'Date,DC,Amount,Ref,Text,Name', '2026-03-02,,5,r,,', 'bad_mark DC '],
    [marked, 'Date,DC,Amount,Ref,Text,Name', '2026-03-02,C,-5,r,,', 'bad_amount Amount -5'],
  ];
  for (const [yaml, header, row, expected] of refused)
    test(`${row} is refused with its line and column, and the day is unbalanced: ${expected}`, () => {
      const events = said(eventsOf(yaml, `${header}\n${row}\n`));
      assert.deepEqual(events.length, 2);
      assert.equal(events[0], `refusedEntry 2 ${expected}`);
      assert.match(events[1]!, / unbalanced$/);
    });
});

suite('rows that cannot be read', () => {
  const before = `${HEADER}2026-03-02,1,a,,\n`;
  const table: readonly [string, string][] = [
    ['2026-02-30,1,b,,', 'refusedEntry 3 bad_day Date 2026-02-30'],
    ['02.03.2026,1,b,,', 'refusedEntry 3 bad_day Date 02.03.2026'],
    [',1,b,,', 'refusedEntry 3 bad_day Date '],
    ['2026-03-02,1,b', 'refusedEntry 3 too_few_cells Text null'],
    ['2026-03-02,1,b,,,more', 'refusedEntry 3 surplus_cell null more'],
    ['2026-03-02,1,"b,,', 'refusedEntry 3 bad_quoting null null'],
  ];
  for (const [row, expected] of table)
    test(`${row}: ${expected}`, () => {
      const events = said(eventsOf(PLAIN, `${before}${row}\n`));
      assert.ok(events.includes(expected), events.join('\n'));
      assert.match(events.at(-1)!, / unbalanced$/);
    });
  test('before any day is known it is told beside the statements', () => {
    assert.deepEqual(said(eventsOf(PLAIN, `${HEADER}never,1,b,,\n`)), ['refusedStatement 2 bad_day Date never']);
  });
  test('a currency that is none, or an account that is blank', () => {
    const yaml = PLAIN.replace(/account.*\ncurrency.*\n/, '').replace(
      'columns: {',
      'columns: { account: A, currency: C,',
    );
    const rows =
      'A,C,Date,Amount,Ref,Text,Name\nX,EUR,2026-03-02,1,,,\n,EUR,2026-03-02,1,,,\nX,eur,2026-03-02,1,,,\nY,USD,2026-03-02,1,,,\n';
    assert.deepEqual(said(eventsOf(yaml, rows)), [
      'entry 2 2026-03-02 null 100 EUR booked null',
      'refusedEntry 3 missing_value A ',
      'refusedEntry 4 unknown_currency C eur',
      'statement 2 X EUR 2026-03-02 null null 1 unbalanced',
      'entry 5 2026-03-02 null 100 USD booked null',
      'statement 5 Y USD 2026-03-02 null null 1 notStated',
    ]);
  });
});

suite('balances', () => {
  const running = PLAIN.replace('columns: {', 'columns: { balance: Saldo,');
  const day = PLAIN.replace('columns: {', 'columns: { openingBalance: Von, closingBalance: Bis,');
  const table: readonly [string, string, readonly string[], RegExp][] = [
    [
      'in order',
      running,
      ['Saldo,Date,Amount,Ref,Text,Name', '11,2026-03-02,1,,,', '9,2026-03-02,-2,,,'],
      /1000 900 2 balanced$/,
    ],
    [
      'a row is gone',
      running,
      ['Saldo,Date,Amount,Ref,Text,Name', '11,2026-03-02,1,,,', '9,2026-03-02,-1,,,'],
      /1000 900 2 unbalanced$/,
    ],
    [
      'in the other order',
      running,
      ['Saldo,Date,Amount,Ref,Text,Name', '9,2026-03-02,-2,,,', '11,2026-03-02,1,,,'],
      /1100 1100 2 unbalanced$/,
    ],
    ['a blank one', running, ['Saldo,Date,Amount,Ref,Text,Name', ',2026-03-02,-2,,,'], /null null 0 unbalanced$/],
    [
      'of the day',
      day,
      ['Von,Bis,Date,Amount,Ref,Text,Name', '10,9,2026-03-02,1,,,', '10,9,2026-03-02,-2,,,'],
      /1000 900 2 balanced$/,
    ],
    ['of the day, wrong', day, ['Von,Bis,Date,Amount,Ref,Text,Name', '10,9,2026-03-02,1,,,'], /1000 900 1 unbalanced$/],
    [
      'of the day, two',
      day,
      ['Von,Bis,Date,Amount,Ref,Text,Name', '10,9,2026-03-02,1,,,', '10,8,2026-03-02,-2,,,'],
      /^refusedStatement 2 other_balance Bis 8$/,
    ],
  ];
  for (const [name, yaml, lines, expected] of table)
    test(name, () => assert.match(said(eventsOf(yaml, lines.join('\n'))).at(-1)!, expected));
});

test('the header decides: of two that fit the one with more columns, and two that fit equally are refused', () => {
  const plain = formatOf(PLAIN);
  const more = formatOf(PLAIN.replace('plain', 'more').replace('columns: {', 'columns: { valueDate: Value,'));
  const other = formatOf(PLAIN.replace('plain', 'other'));
  const head = (text: string) => Buffer.from(text);
  assert.equal(statementFormatOf(head(`Value,${HEADER}`), [plain, more]), more);
  assert.equal(statementFormatOf(head(HEADER), [plain, more]), plain);
  assert.equal(statementFormatOf(head('a,b\n'), [plain, more]), null);
  assert.equal(statementFormatOf(head(':20:X\n'), [plain]), 'mt940');
  assert.throws(() => statementFormatOf(head(HEADER), [plain, other]), /plain and other fit equally/);
  assert.throws(() => openStatements(plain).push(head('Date,Amount,Amount,Ref,Text,Name\n'), []), /Amount/);
});

test('200,000 rows are read, and one more refuses the file', () => {
  const rows = Array.from({ length: 200_000 }, (_, at) => `2026-03-0${1 + (at % 9)},${at}.50,R-${at},,`).join('\n');
  const events = eventsOf(PLAIN, `${HEADER}${rows}\n`);
  assert.equal(events.filter(({ type }) => type === 'entry').length, 200_000);
  assert.throws(
    () => eventsOf(PLAIN, `${HEADER}${rows}\n2026-03-01,1,x,,\n`),
    /line 200002: A CSV of statements may have 200000 rows/,
  );
});

test('mistakes in a format file are told with their place', () => {
  const mistakesOf = (yaml: string): string => {
    try {
      formatOf(yaml);
      return '';
    } catch (error) {
      return (error as Error).message;
    }
  };
  const table: readonly [string, RegExp][] = [
    [PLAIN.replace('bankStatement', 'report'), /format.yaml:1:1: kind: "report" is not bankStatement/],
    [PLAIN.replace('yyyy-MM-dd', 'yyyy-dd'), /dates: "yyyy-dd" is not a pattern/],
    [PLAIN.replace('yyyy-MM-dd', 'yyyy-MM-DD'), /dates: "yyyy-MM-DD" is not a pattern/],
    [`${PLAIN}thousands: "."\n`, /thousands: "\." is also the decimal sign/],
    [`${PLAIN}delimiter: "x"\n`, /delimiter: "x" is none of/],
    [PLAIN.replace('currency: EUR\n', ''), /currency: is missing: write it here, or its column/],
    [PLAIN.replace('amount: Amount', 'credit: In'), /columns: needs either amount, or credit and debit/],
    [PLAIN.replace('amount: Amount', 'amount: Amount, debit: Out'), /needs either amount, or credit and debit/],
    [
      PLAIN.replace('amount: Amount', 'amount: Amount, sign: S'),
      /creditMarks: is missing: list the values of columns.sign/,
    ],
    [`${PLAIN}pendingStatuses: [x]\n`, /pendingStatuses: .*needs columns.status/],
    [PLAIN.replace('bookingDate: Date,', ''), /columns.bookingDate: is missing/],
    [PLAIN.replace('bookingDate', 'bokingDate'), /bokingDate: is unknown.*did you mean bookingDate/],
    [PLAIN.replace('columns: {', 'columns: { account: A,'), /account: .*stands beside columns.account/],
  ];
  for (const [yaml, expected] of table) assert.match(mistakesOf(yaml), expected, yaml);
});
