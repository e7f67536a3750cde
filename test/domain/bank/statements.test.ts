import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CamtFile } from '../../../src/adapters/file-formats/camt.ts';
import { Bai2Reader } from '../../../src/domain/bank/bai2.ts';
import { Mt940Reader } from '../../../src/domain/bank/mt940.ts';
import { type BankEvent, balanceOf, imbalanceOf } from '../../../src/domain/bank/statement.ts';
import { bai2Of, camtOf, closingOf, type MadeStatement, mt940Of } from '../../support/bank-files.ts';

const day = fc.integer({ min: 0, max: 700 }).map((n) => new Date(Date.UTC(2025, 0, 1 + n)).toISOString().slice(0, 10));
const words = fc.constantFrom(
  'settlement',
  '202601050000001',
  'A&B <x>',
  'fee 1,50',
  'AB',
  'ref/1',
  'lorem ipsum dolor sit',
);

const entry = fc
  .record({
    minor: fc.bigInt({ min: -(10n ** 14n), max: 10n ** 14n }),
    value: day,
    late: fc.integer({ min: 0, max: 40 }),
    reference: fc.stringMatching(/^[A-Z0-9]{1,16}$/).filter((text) => text !== 'NONREF'),
    words: fc.array(words, { minLength: 1, maxLength: 12 }),
    name: fc.constantFrom('ANTOM EUROPE SA', 'Alipay & Sons'),
  })
  .map(({ late, words: said, value, ...rest }) => ({
    ...rest,
    value,
    booked: new Date(Date.parse(value) + late * 86_400_000).toISOString().slice(0, 10),
    text: said.join(' '),
  }));

const statement: fc.Arbitrary<MadeStatement> = fc.record({
  account: fc.constantFrom('NL91ABNA0417164300', 'DE89370400440532013000'),
  currency: fc.constantFrom('EUR' as const, 'JPY' as const, 'KWD' as const),
  number: fc.constantFrom('1', '114', '365'),
  day,
  opening: fc.bigInt({ min: -(10n ** 12n), max: 10n ** 12n }),
  entries: fc.array(entry, { maxLength: 6 }),
});

function linesRead(reader: Mt940Reader | Bai2Reader, text: string): BankEvent[] {
  const lines = text.split(/\r\n|\n/);
  return [...lines.flatMap((line) => reader.push(line)), ...reader.end()];
}

function camtRead(text: string, blockBytes: number): BankEvent[] {
  const file = new CamtFile();
  const bytes = Buffer.from(text);
  const events: BankEvent[] = [];
  for (let at = 0; at < bytes.length; at += blockBytes) events.push(...file.push(bytes.subarray(at, at + blockBytes)));
  file.end();
  return events;
}

/** The bare facts, of what was made and of what was read. */
const made = (statements: readonly MadeStatement[]) =>
  statements.map((of) => ({
    account: of.account,
    currency: of.currency,
    opening: of.opening,
    closing: closingOf(of),
    entries: of.entries.map(({ minor, booked, value, reference }) => ({ minor, booked, value, reference })),
  }));

function read(events: readonly BankEvent[]) {
  const statements = [];
  let entries: { minor: bigint; booked: string | null; value: string | null; reference: string | null }[] = [];
  for (const event of events) {
    assert.ok(
      event.type === 'entry' || event.type === 'statement',
      JSON.stringify(event, (_, v) => (typeof v === 'bigint' ? `${v}` : v)),
    );
    if (event.type === 'entry') {
      const { amountMinor, bookingDate, valueDate, reference } = event.entry;
      entries.push({ minor: amountMinor, booked: bookingDate, value: valueDate, reference });
      continue;
    }
    const { account, currency, openingMinor, closingMinor } = event.statement;
    assert.equal(balanceOf(event.statement), 'balanced');
    assert.equal(event.statement.entries, entries.length);
    statements.push({ account, currency, opening: openingMinor, closing: closingMinor, entries });
    entries = [];
  }
  assert.deepEqual(entries, []);
  return statements;
}

const many = fc.array(statement, { minLength: 1, maxLength: 3 });

test('MT940: what was printed is read, in each form of its remittance, with and without an envelope', () => {
  fc.assert(
    fc.property(many, fc.boolean(), fc.constantFrom('free', 'subfields', 'words'), (statements, envelope, info) => {
      const text = mt940Of(statements, { envelope, info: info as 'free' });
      assert.deepEqual(read(linesRead(new Mt940Reader(), text)), made(statements));
    }),
    { numRuns: 300 },
  );
});

test('BAI2: what was printed is read', () => {
  fc.assert(
    fc.property(many, (statements) => {
      // Its booking date is that of the group.
      const expected = made(statements).map((of, at) => ({
        ...of,
        entries: of.entries.map((one) => ({ ...one, booked: statements[at]!.day })),
      }));
      assert.deepEqual(read(linesRead(new Bai2Reader(), bai2Of(statements))), expected);
    }),
    { numRuns: 300 },
  );
});

test('camt: what was printed is read, whatever the version and the blocks', () => {
  fc.assert(
    fc.property(
      many,
      fc.constantFrom('02', '08', '13'),
      fc.constantFrom(7, 64, 65_536),
      (statements, version, block) => {
        assert.deepEqual(read(camtRead(camtOf(statements, { version }), block)), made(statements));
      },
    ),
    { numRuns: 200 },
  );
});

test('a batch id that a line ends within is found in every form of MT940', () => {
  const id = '202601050000001';
  for (let before = 0; before < 70; before++) {
    const text = `${'x'.repeat(before)} ${id} end`;
    const of: MadeStatement = {
      account: 'NL91ABNA0417164300',
      currency: 'EUR',
      number: '1',
      day: '2026-01-05',
      opening: 0n,
      entries: [{ minor: 100n, booked: '2026-01-05', value: '2026-01-05', reference: 'R1', text, name: 'ANTOM' }],
    };
    for (const info of ['free', 'subfields', 'words'] as const) {
      const [event] = linesRead(new Mt940Reader(), mt940Of([of], { info }));
      assert.ok(event?.type === 'entry');
      assert.ok(
        event.entry.references.some((said) => new RegExp(`(?<![A-Za-z0-9])${id}(?![A-Za-z0-9])`).test(said)),
        `${info}, ${before}: ${event.entry.references}`,
      );
    }
  }
});

test('MT940 as banks write it: one table of entries', () => {
  const entryOf = (line: string, info: readonly string[] = []) => {
    const text = [
      ':20:X',
      ':25:NL91ABNA0417164300 EUR',
      ':28C:2/1',
      ':60F:C260102EUR0,00',
      line,
      ...info,
      ':62F:C260102EUR0,00',
    ];
    const events = linesRead(new Mt940Reader(), text.join('\n'));
    const last = events.at(-1);
    assert.equal(last?.type === 'statement' ? last.statement.account : null, 'NL91ABNA0417164300');
    return events[0]!;
  };
  const table: [string, readonly string[], Record<string, unknown>][] = [
    [
      ':61:2601021231C100,NTRFNONREF',
      [],
      { bookingDate: '2025-12-31', valueDate: '2026-01-02', amountMinor: 10_000n, reference: null },
    ],
    [':61:2512310102D1,5NMSCABC//BANK1', [], { bookingDate: '2026-01-02', amountMinor: -150n, reference: 'ABC' }],
    [':61:260102RC100,00NTRFREF', [], { amountMinor: -10_000n, isReversal: true, bookingDate: '2026-01-02' }],
    [':61:260102RD100,00NTRFREF', [], { amountMinor: 10_000n, isReversal: true }],
    [':61:260102CR100,00NTRFREF', [], { amountMinor: 10_000n, isReversal: false }],
    [':61:2601020102RDR100,00NTRFREF', [], { amountMinor: 10_000n, isReversal: true }],
    [':61:260102EC100,00NTRFREF', [], { amountMinor: 10_000n, status: 'pending' }],
    [':61:260102C100,00NTRFNONREF//B-77', [], { reference: 'B-77' }],
    [
      ':61:260102C100,00NTRFNONREF',
      [':86:/EREF/E-1//NAME/ANTOM/IBAN/NL02ABNA0123456789/CHGS/EUR2,50'],
      { reference: 'E-1', counterpartyName: 'ANTOM', counterpartyAccount: 'NL02ABNA0123456789', chargesMinor: 250n },
    ],
    [
      ':61:260102C100,00NTRFNONREF',
      [':86:166?00GUTSCHRIFT?20EREF+NOTPROVIDED?21SVWZ+B 1?31DE89?32ANTOM?33 SA'],
      { reference: null, counterpartyName: 'ANTOM SA', counterpartyAccount: 'DE89' },
    ],
  ];
  for (const [line, info, expected] of table) {
    const event = entryOf(line, info);
    assert.ok(event.type === 'entry', line);
    const found = Object.fromEntries(
      Object.keys(expected).map((key) => [key, event.entry[key as keyof typeof event.entry]]),
    );
    assert.deepEqual(found, expected, line);
  }
  for (const [line, code] of [
    [':61:2601XXC100,00NTRFREF', 'bad_entry'],
    [':61:260132C100,00NTRFREF', 'bad_day'],
    [':61:2601020230C100,00NTRFREF', 'bad_day'],
    [':61:260102C100,005NTRFREF', 'too_many_decimals'],
    [':61:260102C1,00,5NTRFREF', 'bad_amount'],
    [':61:260102C1.000,00NTRFREF', 'bad_entry'],
  ] as const) {
    const event = entryOf(line);
    assert.ok(event.type === 'refusedEntry', line);
    assert.deepEqual([event.refused.code, event.line], [code, 5], line);
  }
});

test('an entry that is refused leaves a statement that does not add up, and the others', () => {
  const text = [
    ':20:X',
    ':25:A1',
    ':28C:1',
    ':60F:C260102EUR0,00',
    ':61:260102C1,00NTRFX',
    ':61:2601XXC1,00NTRFX',
    ':62F:C260102EUR2,00',
    '-',
  ];
  const events = linesRead(new Mt940Reader(), text.join('\r\n'));
  assert.deepEqual(
    events.map(({ type }) => type),
    ['entry', 'refusedEntry', 'statement'],
  );
  const last = events.at(-1)!;
  assert.ok(
    last.type === 'statement' && balanceOf(last.statement) === 'unbalanced' && imbalanceOf(last.statement) === 100n,
  );
});

const stmt = (
  entries: string,
  closing: string,
) => `<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><Stmt><Id>1</Id><Acct><Id><Othr><Id>77</Id></Othr></Id></Acct>
<Bal><Tp><CdOrPrtry><Cd>OPBD</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">0</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-01-05</Dt></Dt></Bal>
<Bal><Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">${closing}</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-01-05</Dt></Dt></Bal>
${entries}</Stmt></BkToCstmrStmt></Document>`;
const ntry = (amount: string, more = '') =>
  `<Ntry><Amt Ccy="EUR">${amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd>${more}<Sts>BOOK</Sts><BookgDt><Dt>2026-01-05+01:00</Dt></BookgDt></Ntry>\n`;

test('camt: the balances say whether a mark of reversal turns the sign', () => {
  const reversal = ntry('2.00', '<RvslInd>true</RvslInd>');
  for (const [closing, turns, booked] of [
    ['7.00', false, 700n],
    ['3.00', true, 300n],
    ['9.99', false, 700n],
  ] as const) {
    const events = camtRead(stmt(ntry('5.00') + reversal, closing), 1_000);
    const last = events.at(-1)!;
    assert.ok(last.type === 'statement');
    assert.deepEqual([last.statement.turnsReversals, last.statement.bookedMinor], [turns, booked], closing);
    assert.equal(balanceOf(last.statement), closing === '9.99' ? 'unbalanced' : 'balanced');
  }
});

test('camt: an entry booked as a batch is one entry with the references of all details, on its own line', () => {
  const details = Array.from(
    { length: 500 },
    (_, at) => `<TxDtls><Refs><EndToEndId>E-${at}</EndToEndId></Refs><RmtInf><Ustrd>B-${at}</Ustrd></RmtInf></TxDtls>`,
  );
  const batch = `<Ntry><NtryRef>N1</NtryRef><Amt Ccy="EUR">5.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts><NtryDtls><Btch><MsgId>M-9</MsgId></Btch>${details.join('')}</NtryDtls></Ntry>`;
  const events = camtRead(stmt(batch + ntry('1.00'), '6.00'), 4_096);
  const entries = events.flatMap((event) => (event.type === 'entry' ? [event.entry] : []));
  assert.equal(entries.length, 2);
  assert.equal(entries[0]!.reference, 'N1');
  for (const said of ['M-9', 'E-0', 'E-499', 'B-499']) assert.ok(entries[0]!.references.includes(said), said);
  assert.deepEqual(
    entries.map(({ line, bookingDate }) => [line, bookingDate]),
    [
      [4, null],
      [4, '2026-01-05'],
    ],
  );
});

test('camt: pending entries count nowhere, reports of a running day are not final, and what is no amount is refused alone', () => {
  const pending = ntry('5.00').replace('BOOK', 'PDNG');
  const events = camtRead(
    stmt(pending + ntry('1,00') + ntry('1e2') + ntry('1.005') + ntry('2.00').replace('CRDT', 'X'), '0').replaceAll(
      'Stmt>',
      'Rpt>',
    ),
    99,
  );
  assert.deepEqual(
    events.map((event) => (event.type === 'refusedEntry' ? event.refused.code : event.type)),
    ['entry', 'bad_amount', 'bad_amount', 'too_many_decimals', 'bad_mark', 'statement'],
  );
  const last = events.at(-1)!;
  assert.ok(last.type === 'statement');
  assert.deepEqual([last.statement.isFinal, last.statement.bookedMinor, last.statement.refused], [false, 0n, 4]);
});

test('BAI2: funds types, continuations, decimals of the currency, running days', () => {
  const text = [
    '01,BANK,MERCHANT,260105,2300,1,80,,2/',
    '02,MERCHANT,BANK,1,260105,2300,KWD,3/',
    '03,77,,010,+1000,,,040,900,,S,100,200,300,015,6500,,/',
    '16,165,1000,0,B1,C1,text, with commas / and slashes',
    '16,165,1000,S,1,2,3,B2,C2,PAYOUT 2026',
    '88,01050000001 END',
    '16,165,1000,D,2,1,500,2,500,B3,C3,x/',
    '16,165,1000,Z,B4/',
    '16,890,,,,,note only/',
    '16,475,500,,B5,C5,fee',
    '16,999,1,,B6,C6,odd',
    '16,165,1.00,,B7,C7,point',
    '16,165,2000,,B8,C8,/',
    '49,14901,12/',
    '98,14901,1,14/',
    '99,14901,1,16/',
  ];
  const events = linesRead(new Bai2Reader(), text.join('\n'));
  assert.deepEqual(
    events.map((event) => {
      if (event.type === 'entry') return [event.entry.reference, event.entry.amountMinor, event.entry.status];
      return event.type === 'refusedEntry' ? [event.line, event.refused.code] : event.type;
    }),
    [
      ['C1', 1000n, 'booked'],
      ['C2', 1000n, 'booked'],
      ['C3', 1000n, 'booked'],
      ['B4', 1000n, 'booked'],
      [null, 0n, 'information'],
      ['C5', -500n, 'booked'],
      [11, 'bad_mark'],
      [12, 'bad_amount'],
      ['C8', 2000n, 'booked'],
      'statement',
    ],
  );
  const second = events[1]!;
  assert.ok(second.type === 'entry' && second.entry.references.some((said) => said.includes('202601050000001')));
  const last = events.at(-1)!;
  assert.ok(last.type === 'statement');
  assert.deepEqual(
    [last.statement.isFinal, last.statement.openingMinor, last.statement.closingMinor],
    [false, 1000n, 6500n],
  );
});

test('MT940: a message that lost its first lines is read all the same, and told where they say whose it is', () => {
  const second = [
    ':20:Y',
    ':25:A1',
    ':28C:2',
    ':60F:C260102EUR1,00',
    ':61:260103C2,00NTRFY',
    ':62F:C260103EUR3,00',
    '-',
  ];
  const first = [
    ':20:X',
    ':25:A1',
    ':28C:1',
    ':60F:C260102EUR0,00',
    ':61:260102C1,00NTRFX',
    ':62F:C260102EUR1,00',
    '-',
  ];
  for (const [lost, expected] of [
    [1, 'statement'],
    [2, 'refusedStatement'],
    [3, 'refusedStatement'],
  ] as const) {
    const events = linesRead(new Mt940Reader(), [...first, ...second.slice(lost)].join('\n'));
    assert.deepEqual(
      events.map(({ type }) => type),
      ['entry', 'statement', 'entry', expected],
    );
  }
});

test('a statement without a balance is not called balanced: nothing was compared', () => {
  const lines = [':20:X', ':25:A1', ':28C:1', ':60F:C260102EUR0,00', ':61:260102C1,00NTRFX', '-'];
  const mt940 = linesRead(new Mt940Reader(), lines.join('\n')).at(-1)!;
  const notice = camtRead(
    stmt(ntry('1.00'), '1.00')
      .replace(/<Bal>[\s\S]*<\/Bal>/, '')
      .replaceAll('Stmt>', 'Ntfctn>'),
    99,
  ).at(-1)!;
  const bai2 = linesRead(
    new Bai2Reader(),
    '02,M,B,1,260105,2300,USD,2/\n03,77,,015,100,,/\n16,165,100,,B,C,x\n49,200,3/\n98,,1,/',
  ).at(-1)!;
  for (const event of [mt940, notice, bai2])
    assert.equal(event.type === 'statement' && balanceOf(event.statement), 'notStated');
});

test('BAI2: each wrong total or count of a trailer is told, and each trailer that is missing', () => {
  const of = (day: string): MadeStatement => ({
    account: '77',
    currency: 'EUR',
    number: '1',
    day,
    opening: 500n,
    entries: [{ minor: 100n, booked: day, value: day, reference: 'R1', text: 'x'.repeat(70), name: 'A' }],
  });
  const right = bai2Of([of('2026-01-05'), of('2026-01-06')]);
  const told = (text: string) =>
    linesRead(new Bai2Reader(), text).flatMap((event) =>
      event.type === 'refusedStatement' ? [[event.line, event.refused.code]] : [],
    );
  assert.deepEqual(told(right), []);
  const lines = right.trimEnd().split('\n');
  lines.forEach((line, at) => {
    if (!/^(49|98|99)/.test(line)) return;
    const fields = line.replace('/', '').split(',');
    for (let field = 1; field < fields.length; field++) {
      const wrong = fields.map((text, place) => (place === field ? String(Number(text) + 1) : text)).join(',');
      const found = told(lines.with(at, `${wrong}/`).join('\n'));
      assert.ok(
        found.some(([, code]) => code === 'bad_control_total'),
        `${wrong} instead of ${line}`,
      );
    }
    const without = told(lines.toSpliced(at, 1).join('\n'));
    assert.ok(without.length > 0, `without ${line}`);
  });
  // An amount that was changed, and a record that is missing.
  assert.ok(told(right.replace('16,165,100', '16,165,101')).length > 0);
  assert.ok(told(right.replace(/^16,.*\n/m, '')).length > 0);
});

test('camt: only its own namespaces are read', () => {
  const right = stmt(ntry('1.00'), '1.00');
  assert.equal(camtRead(right, 99).at(-1)!.type, 'statement');
  for (const wrong of ['camt.053.001.01', 'camt.053.001.99', 'pain.001.001.03', 'camt.053.001.08x', ''])
    assert.throws(() => camtRead(right.replace('camt.053.001.08', wrong), 99), /namespace/, wrong);
});

test('camt: the pages of a long statement have the interim balances as theirs', () => {
  const balance = (code: string, amount: string) =>
    `<Bal><Tp><CdOrPrtry><Cd>${code}</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">${amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-01-05</Dt></Dt></Bal>`;
  const page = (no: number, opening: string, closing: string) =>
    stmt(ntry('1.00'), '0')
      .replace(/<Bal>[\s\S]*<\/Bal>/, opening + closing)
      .replace('<Id>1</Id>', `<Id>S</Id><StmtPgntn><PgNb>${no}</PgNb><LastPgInd>false</LastPgInd></StmtPgntn>`);
  const read = [
    page(1, balance('OPBD', '5'), balance('ITBD', '6')),
    page(2, balance('ITBD', '6'), balance('CLBD', '7')),
  ].map((text) => camtRead(text, 4_096).at(-1)!);
  assert.deepEqual(
    read.map((event) => (event.type === 'statement' ? [event.statement.number, balanceOf(event.statement)] : event)),
    [
      ['S/1', 'balanced'],
      ['S/2', 'balanced'],
    ],
  );
});
