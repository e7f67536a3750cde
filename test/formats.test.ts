import assert from 'node:assert/strict';
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { loadFormat } from '../src/config/format-file.ts';
import { formatShape } from '../src/config/format-shape.ts';
import { apo } from '../src/domain/formats/apo.ts';
import { MEANINGS } from '../src/domain/formats/format.ts';
import { formatAmount } from '../src/domain/money/money.ts';
import { readReportName } from '../src/domain/report/report-name.ts';
import type { Row } from '../src/domain/report/row.ts';
import { readReport } from './domain/reading.ts';
import { temporaryFolder } from './support/book.ts';
import { keysOf } from './support/keys.ts';

const ROOT = resolve(import.meta.dirname, '..');
const folder = temporaryFolder();

let files = 0;
function load(yaml: string) {
  const path = join(folder, `${++files}.yaml`);
  writeFileSync(path, yaml);
  return loadFormat(path, 'mine.yaml');
}

/** The lines that a file is refused with. */
function mistakesOf(yaml: string): string[] {
  try {
    load(yaml);
  } catch (error) {
    assert.equal((error as Error).name, 'UsageError', String(error));
    return (error as Error).message.split('\n');
  }
  return [];
}

const page = readFileSync(join(ROOT, 'docs/formats.md'), 'utf8');
const blocks = (language: string) =>
  [...page.matchAll(new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, 'gs'))].map(([, text = '']) => text);
const [example = '', extension = ''] = blocks('yaml');

test('the example of the documentation reads its report as it says', () => {
  const format = load(example);
  const name = readReportName('payout_7_EUR.csv', [format]);
  assert.deepEqual([name?.kind, name?.batchId, name?.settlementCurrency], ['settlementDetails', '7', 'EUR']);
  const rows = readReport(blocks('csv')[0]!, 'settlementDetails', format, { batchId: '7', settlementCurrency: 'EUR' });
  assert.deepEqual(
    rows.flatMap(({ findings, refused }) => [...findings, ...(refused ? [refused] : [])]),
    [],
  );
  assert.deepEqual(rows.map(({ row }) => say(row!)).join('\n'), blocks('text')[0]!.trim());
});

function say(row: Row): string {
  const amount = (minor: bigint) => formatAmount(minor, 'EUR');
  const whose = [row.type, row.requestId, row.originalRequestId && `of ${row.originalRequestId}`];
  const parts = [
    row.amountMinor === null ? null : amount(row.amountMinor),
    `settled ${amount(row.settlementMinor!)}`,
    row.feeMinor === null ? null : `fee ${amount(row.feeMinor)}`,
    `at ${new Date(Number(row.paidAtMicros! / 1000n)).toISOString().replace('.000', '')}`,
  ];
  return `${whose.filter(Boolean).join(' ')}: ${parts.filter(Boolean).join(', ')}`;
}

test('a format that extends another is that one with its changes', () => {
  const format = load(extension);
  assert.equal(format.name, 'our-apo');
  assert.deepEqual(format.names, { ...apo.names, transactionDetails: ['daily_{date}_{seq}', 'daily_{date}'] });
  assert.deepEqual(format.required, apo.required);
  assert.deepEqual(format.types, apo.types);
  assert.deepEqual(format.aliases, { ...apo.aliases, paymentTime: ['paidAt', 'bookedAt'] });
  assert.deepEqual(format.amounts.settlementDetails.slice(0, -1), apo.amounts.settlementDetails);
  assert.ok(format.columns.settlementDetails.includes('loyaltyFeeCurrency'));
  assert.deepEqual(Object.keys(format.deducted), [...Object.keys(apo.deducted), 'Some_Acquirer']);
  const changed = load(`name: a\nextends: apo\namounts:\n  settlementDetails:
    - { column: taxFeeAmountValue, currencyColumn: taxCurrency, role: fee }\n`);
  const tax = changed.amounts.settlementDetails.filter(({ column }) => column === 'taxFeeAmountValue');
  assert.deepEqual(tax, [{ column: 'taxFeeAmountValue', currencyColumn: 'taxCurrency', role: 'fee' }]);
});

test('a format that came out of a file is plain data, too', () => {
  for (const yaml of [example, extension]) {
    const format = load(yaml);
    assert.deepEqual(JSON.parse(JSON.stringify(format)), format);
  }
});

test('an id says what a format meant: the same for the same words, another for another meaning', () => {
  const { id } = load(example);
  assert.match(id, /^corner-bank@[0-9a-f]{12}$/);
  assert.equal(load(`# a remark\n${example}`).id, id);
  assert.notEqual(load(example.replace('"+02:00"', '"+03:00"')).id, id);
  assert.notEqual(load(extension).id, load(extension.replace('bookedAt', 'bookedOn')).id);
});

const EVERY_KEY = `name: all-of-it
extensions: [csv]
encoding: GBK
directory: /in/{merchantId}
names: { transactionDetails: 'day_{date}', settlementDetails: ['items_{batchId}', 'parts_{batchId}_{seq}'], settlementSummary: 'sum_{batchId}' }
portalNames: { settlementDetails: 'whole_{batchId}' }
endMarker: EOF
columns: { settlementDetails: [Original, Zone, Own], settlementSummary: Remark, transactionDetails: [Kept] }
required:
  transactionDetails: [transactionType, Gross]
  settlementDetails: [transactionType, Net]
  settlementSummary: [settlementBatchId]
aliases: { transactionType: [Kind, Sort], status: State }
amounts:
  transactionDetails: [{ column: Gross, currencyColumn: Currency, role: transaction }]
  settlementDetails:
    - { column: In, debitColumn: Out, currencyColumn: Currency, role: transaction }
    - { column: Net, currencyColumn: Money, role: settlement }
    - { column: Cost, currencyColumn: Money, role: fee }
  settlementSummary: [{ column: Sum, currencyColumn: Money, role: settlement }]
deducted: { "*": [Cost], Bank: [Net] }
priceNeedsNoPair: true
mayBeUnsettled: true
doneStatuses: [done, Settled]
notDoneStatuses: [open, Failed]
times: { paymentTime: { zoneColumn: Zone, mayBeDate: true }, settlementTime: { mayBeDate: true } }
zones: { CET: "+01:00" }
typeNames: { Sale: PAYMENT }
types:
  PAYMENT: { ownId: false, matchBy: own, grossSign: 1, feeMaySettle: true, noGross: true, isPayout: true, isCarryOver: true, holding: { of: collateral, step: released },
    ids: { transactionRequestId: Own, transactionId: none, originalTransactionRequestId: Original, originalTransactionId: none } }
`;

test('every key of a format arrives in the format', () => {
  const { id: _, columns, ...format } = load(EVERY_KEY);
  const net = { column: 'Net', currencyColumn: 'Money', role: 'settlement' };
  assert.deepEqual(format, {
    name: 'all-of-it',
    extensions: ['csv'],
    encoding: 'gb18030',
    directory: '/in/{merchantId}',
    names: {
      transactionDetails: ['day_{date}'],
      settlementDetails: ['items_{batchId}', 'parts_{batchId}_{seq}'],
      settlementSummary: ['sum_{batchId}'],
    },
    portalNames: { transactionDetails: [], settlementDetails: ['whole_{batchId}'], settlementSummary: [] },
    endMarker: 'EOF',
    required: {
      transactionDetails: ['transactionType', 'Gross'],
      settlementDetails: ['transactionType', 'Net'],
      settlementSummary: ['settlementBatchId'],
    },
    aliases: { transactionType: ['Kind', 'Sort'], status: ['State'] },
    amounts: {
      transactionDetails: [{ column: 'Gross', currencyColumn: 'Currency', role: 'transaction' }],
      settlementDetails: [
        { column: 'In', debitColumn: 'Out', currencyColumn: 'Currency', role: 'transaction' },
        net,
        { column: 'Cost', currencyColumn: 'Money', role: 'fee' },
      ],
      settlementSummary: [{ ...net, column: 'Sum' }],
    },
    deducted: { '*': ['Cost'], Bank: ['Net'] },
    priceNeedsNoPair: true,
    mayBeUnsettled: true,
    doneStatuses: ['DONE', 'SETTLED'],
    notDoneStatuses: ['OPEN', 'FAILED'],
    times: { paymentTime: { zoneColumn: 'Zone', mayBeDate: true }, settlementTime: { mayBeDate: true } },
    zones: { CET: '+01:00' },
    typeNames: { Sale: 'PAYMENT' },
    types: {
      PAYMENT: {
        ownId: false,
        matchBy: 'own',
        grossSign: 1,
        feeMaySettle: true,
        noGross: true,
        isPayout: true,
        isCarryOver: true,
        holding: { of: 'collateral', step: 'released' },
        ids: {
          transactionRequestId: 'Own',
          transactionId: null,
          originalTransactionRequestId: 'Original',
          originalTransactionId: null,
        },
      },
    },
  });
  assert.ok(
    ['Original', 'Zone', 'Own', 'In', 'Out', 'Money'].every((name) => columns.settlementDetails.includes(name)),
  );
  assert.ok(columns.settlementSummary.includes('Remark') && columns.transactionDetails.includes('Kept'));
  // Whoever adds a key to the shape has to say above where it arrives; `extends` is what the others are put over.
  const unsaid = keysOf(formatShape).filter((key) => key !== 'extends' && !new RegExp(`\\b${key}:`).test(EVERY_KEY));
  assert.deepEqual(unsaid, []);
});

test('what is said of a kind whose names a source says is kept for them', () => {
  const format = load(EVERY_KEY.replace(", settlementSummary: 'sum_{batchId}'", ''));
  assert.ok(['Remark', 'Sum', 'Money', 'summaryType'].every((name) => format.columns.settlementSummary.includes(name)));
});

test('all mistakes are told at once, each with its place and what is allowed', () => {
  const wrong = `name: Apo
extend: apo
names:
  settlementDetails: ['payout_{batch}', 'folder/{batchId}']
  refunds: x
required:
  settlementDetails: [transactionTyp]
extensions: [csv, doc]
directory: ../{day}
endMarker:
amounts:
  settlementDetails:
    - { column: Net, currencyColumn: Currency, role: net }
times:
  paymentTime: { zoneColumn: Zone, mayBeDate: maybe }
zones: { CET: one }
types:
  Sale: { matchBy: id, grossSign: 2, ids: { requestId: Reference } }
`;
  assert.deepEqual(mistakesOf(wrong), [
    'mine.yaml:1:1: name: "Apo" is not a valid name: use lower case letters, digits and -',
    'mine.yaml:8:19: extensions[1]: "doc" is none of csv, xlsx, zip',
    'mine.yaml:9:1: directory: "../{day}" may contain {merchantId} and {date}, and no other braces',
    'mine.yaml:4:23: names.settlementDetails[0]: "payout_{batch}" may contain {date} {psp} {currency} {batchId} {seq}, each once, and no other braces',
    'mine.yaml:4:41: names.settlementDetails[1]: "folder/{batchId}" is a path: write only the name here, and the directory under directory',
    'mine.yaml:5:3: names.refunds: is unknown; allowed: transactionDetails, settlementDetails, settlementSummary',
    'mine.yaml:13:48: amounts.settlementDetails[0].role: "net" is none of transaction, converted, settlement, fee, charge, discount, breakdown',
    'mine.yaml:15:36: times.paymentTime.mayBeDate: "maybe" is neither true nor false',
    'mine.yaml:16:10: zones.CET: "one" is not an offset like +01:00 or -08:00',
    'mine.yaml:18:11: types.Sale.matchBy: "id" is none of own, original, none',
    'mine.yaml:18:24: types.Sale.grossSign: "2" is neither 1 (its gross comes in) nor -1 (it goes out)',
    'mine.yaml:18:45: types.Sale.ids.requestId: is unknown; allowed: transactionRequestId, transactionId, originalTransactionRequestId, originalTransactionId',
    'mine.yaml:2:1: extend: is unknown; allowed: name, extends, extensions, encoding, directory, names, portalNames, endMarker, columns, required, aliases, amounts, deducted, priceNeedsNoPair, mayBeUnsettled, doneStatuses, notDoneStatuses, times, zones, typeNames, types; did you mean extends?',
  ]);
});

test('parts that do not fit together are told beside what is wrong in others', () => {
  const misfit = example
    .replace('payout_{batchId}_{currency}', 'payout')
    .replace('Booked', '[]')
    .replace('required:\n  settlementDetails: [transactionType,', 'required:\n  settlementDetails: [Amount,')
    .replace('role: settlement', 'role: charge')
    .replace('[Cost]', '[Costs]')
    .replace('zoneColumn: Zone', 'zoneColumn: Zones')
    .replace('Return: REFUND', 'Return: REFUNDS')
    .replace('RequestId: Original }', 'RequestId: Originals }');
  const lines = mistakesOf(misfit).map((line) => line.replace(/^mine\.yaml:\d+:\d+: /, ''));
  assert.deepEqual(lines, [
    'aliases.paymentTime: is empty',
    'names.settlementDetails[0]: lacks {batchId}: the name must say which batch the report belongs to',
    'amounts.settlementDetails: needs exactly one amount with the role settlement',
    'required.settlementDetails: must name the columns that identify such a report, including transactionType',
    'required.settlementDetails[0]: Amount is neither a column that is read nor one under columns; did you mean count?',
    'deducted.*[0]: Costs is neither a column that is read nor one under columns; did you mean Cost?',
    'times.paymentTime.zoneColumn: Zones is neither a column that is read nor one under columns; did you mean Zone?',
    'types.REFUND.ids.originalTransactionRequestId: Originals is neither a column that is read nor one under columns; did you mean Original?',
    'typeNames.Return: REFUNDS is missing under types, which define how such rows are matched',
  ]);
});

test('what is no format at all is told so', () => {
  const table: [string, RegExp][] = [
    ['', /^mine\.yaml:1:1: name: is missing/],
    ['- a\n- b\n', /^mine\.yaml:1:1: is a list, and must be keys with values$/],
    ['name: "x\n', /^mine\.yaml:\d+:\d+: /],
    ['name: apo\nextends: apo\n', /name: "apo" is the name of a format that comes with the program/],
    ['name: mine\n', /^mine\.yaml:1:1: names: is missing: add the name patterns/],
    [
      'name: mine\nextends: apo\nnames: { transactionDetails: [daily] }\ndirectory: /in\n',
      /names.transactionDetails\[0\]: lacks \{date\}/,
    ],
    [
      'name: mine\nextends: apo\ntimes: { paymentTime: { zoneColumn: pspName } }\n',
      /times.paymentTime: names a column of time zones, but zones defines no offset/,
    ],
    [
      'name: mine\nextends: apo\nnames: { settlementDetails: "{psp}-{batchId}" }\n',
      /names.settlementDetails\[0\]: leaves open where \{psp\} ends/,
    ],
    ['name: mine\nextends: nothing\n', /extends: "nothing" is none of apo, antom, adyen-settlement-details/],
  ];
  for (const [yaml, expected] of table) assert.match(mistakesOf(yaml).join('\n'), expected, yaml);
  assert.throws(
    () => loadFormat(join(folder, 'nowhere.yaml'), 'nowhere.yaml'),
    /^UsageError: nowhere\.yaml does not exist/,
  );
});

test('the documentation names every column that something is read from', () => {
  for (const column of MEANINGS) assert.match(page, new RegExp(`\\b${column}\\b`), column);
});

test('outside the formats the program knows no provider by name', () => {
  const names = /\b(?:apo|antom|alipay|adyen|hundsun|2c2p)(?![a-z])/i;
  const found = globSync('src/**/*.ts', { cwd: ROOT })
    .filter((file) => !file.replaceAll('\\', '/').startsWith('src/domain/formats/'))
    .flatMap((file) =>
      readFileSync(join(ROOT, file), 'utf8')
        .split('\n')
        .flatMap((line, at) => (names.test(line) ? [`${file}:${at + 1}: ${line.trim()}`] : [])),
    );
  assert.deepEqual(found, []);
});
