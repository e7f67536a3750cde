/**
 * What the program answers to three made-up deliveries, byte for byte as it lies in `fixtures/golden`, but for moments, numbers of
 * runs and sentences. Who changes an answer on purpose writes them anew, and looks at the difference: `npm run golden`.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { suite, test } from 'node:test';
import { METRICS } from '../src/adapters/metrics/definitions.ts';
import type { Answer } from './support/answer.ts';
import { temporaryFolder } from './support/book.ts';
import { type Change, changesOf, deliver } from './support/changes.ts';
import { adyenDay, apoDay, type CleanDay, ownDay } from './support/clean-day.ts';
import { freshDatabase } from './support/postgres.ts';
import { settlestream } from './support/settlestream.ts';
import type { Said } from './support/verbs.ts';

const GOLDEN = join(import.meta.dirname, 'fixtures/golden');
const VERBS = join(import.meta.dirname, 'support/verbs.ts');
const isWritten = process.env['SETTLESTREAM_GOLDEN'] === 'write';

/** Beside a clean delivery, one with each of these: the first that there is of its kind. Each is a merchant of its own. */
const SPOILED = [
  'amount by three units',
  'currency',
  'id of another row',
  'status',
  'row dropped',
  'row doubled',
  'column renamed',
  'older content beside it',
];
const DAYS = [apoDay(1), adyenDay(2), ownDay(3)];

function same(name: string, text: string): void {
  const path = join(GOLDEN, name);
  if (isWritten) {
    mkdirSync(GOLDEN, { recursive: true });
    writeFileSync(path, text);
  } else assert.equal(text, readFileSync(path, 'utf8'), `${name}: "npm run golden" writes it anew`);
}

// ---------------------------------------------------------------------------------------------------------------- how it is compared

/** Sentences are written better now and then; moments and numbers of runs are others each time. */
const SENTENCES = ['message', 'why', 'reason', 'closedBecause', 'rule', 'notes'];
const MOMENTS = ['since', 'until', 'at', 'run', 'runs', 'rulesVersion', 'ageDays', 'overdueDays', 'no', 'next'];
/** These stand in files. */
const OF_FILES = ['occurredAt', 'paidAt', 'settledAt'];

const left = (key: string, value: unknown): unknown => {
  if (value === null) return null;
  if (SENTENCES.includes(key)) return '<words>';
  const isMoment = MOMENTS.includes(key) || (/At$/.test(key) && !OF_FILES.includes(key));
  return isMoment ? '<moment>' : value;
};

/** A line for each thing of a list, so that a difference is one of lines. */
function printed(value: unknown): string {
  if (Array.isArray(value)) return value.map((item) => `${JSON.stringify(item, left)}\n`).join('');
  return Object.entries(value as object)
    .map(([key, part]) => {
      const shown = left(key, part);
      return Array.isArray(shown) ? `${key}:\n${printed(shown)}` : `${key}: ${JSON.stringify(shown, left)}\n`;
    })
    .join('');
}

// ------------------------------------------------------------------------------------------------------------------- what is answered

const firstOf = (changes: readonly Change[], kind: string) => changes.find((change) => change.kind === kind);

/** Writes the deliveries of all merchants of a format, and returns what `reconcile` is called with. */
function written(folder: string, day: CleanDay): string[] {
  const changes = changesOf(day);
  const spoiled = SPOILED.flatMap((kind) => firstOf(changes, kind)?.apply(day) ?? []);
  const records = ['requestId,type,amount,currency,status,occurredAt,orderId,originalRequestId,merchantId'];
  for (const [at, { files, records: sheet }] of [deliver(day.sheets), ...spoiled].entries()) {
    const merchant = `${day.format}-${String(at).padStart(2, '0')}`;
    for (const [name, text] of Object.entries(files)) {
      const path = join(folder, 'reports', name.replace('{merchant}', merchant));
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, text);
    }
    records.push(...sheet.rows.map((row) => [...row, merchant].join(',')));
  }
  writeFileSync(join(folder, 'records.csv'), `${records.join('\n')}\n`);
  const format = day.formatFile === null ? day.format : join(folder, 'format.yaml');
  if (day.formatFile !== null) writeFileSync(format, day.formatFile);
  const options = day.options.filter((option, at) => option !== '--format' && day.options[at - 1] !== '--format');
  return [join(folder, 'reports'), '--ledger', join(folder, 'records.csv'), ...options, '--format', format];
}

function verbs(commands: readonly (readonly string[])[], env: Readonly<Record<string, string>> = {}): Said[] {
  const { PATH, HOME } = process.env;
  const ended = spawnSync(process.execPath, ['--no-warnings', VERBS, JSON.stringify(commands)], {
    env: { PATH, HOME, ...env },
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  assert.equal(ended.status, 0, ended.stderr);
  return JSON.parse(ended.stdout) as Said[];
}

const nameOf = (args: readonly string[]) => args.join(' ').replaceAll(/[^\w-]+/g, '_');

const env = {
  DATABASE_URL: await freshDatabase(),
  SETTLESTREAM_DATA_DIR: temporaryFolder(),
  SETTLESTREAM_PROCESSES: '1',
};

suite('the answers are those of before', { concurrency: false }, () => {
  for (const day of DAYS)
    test(`of reconcile to ${day.format}`, async () => {
      const { json, code } = await settlestream(['reconcile', ...written(temporaryFolder(), day), '--json'], { env });
      const { discrepancies } = json as Answer;
      assert.ok(discrepancies.length > 2, 'something is told');
      same(`reconcile-${day.format}.txt`, `exit: ${code}\n${printed(json)}`);
    });

  test('of those verbs that look', () => {
    const asked = [
      ['batches'],
      ['discrepancies'],
      ['open', '--records'],
      ['show', 'B1', '--merchant', 'apo-00'],
      ['show', '7', '--merchant', 'adyen-settlement-details-01'],
      ['show', '2026-03-02', '--merchant', 'corner-01'],
      ['show', 'reserves'],
      ['explain', 'p-1', '--merchant', 'apo-01'],
      ['replay', '--batch', 'B1', '--merchant', 'apo-00', '--dry-run'],
    ];
    for (const { args, code, stdout } of verbs(
      asked.map((args) => [...args, '--json']),
      env,
    ))
      same(`${nameOf(args.slice(0, -1))}.txt`, `exit: ${code}\n${printed(JSON.parse(stdout))}`);
  });

  test('of lists for spreadsheets, by their columns', () => {
    const lists = [
      ['batches'],
      ['discrepancies', '--closed'],
      ['open'],
      ['open', '--records'],
      ['show', 'B1', '--merchant', 'apo-00'],
      ['show', 'reserves'],
      ['explain', 'p-1', '--merchant', 'apo-01'],
    ];
    const said = verbs(
      lists.map((args) => [...args, '--format', 'csv']),
      env,
    );
    same('columns.txt', said.map(({ args, stdout }) => `${args.join(' ')}\n  ${stdout.split(/\r?\n/)[0]}\n`).join(''));
  });
});

test('the names and labels of metrics are those of before', () => {
  const lines = Object.entries(METRICS).map(([name, { type, labels }]) => `${name} ${type} {${Object.keys(labels)}}\n`);
  same('metrics.txt', lines.join(''));
});

test('the help of every verb is that of before', () => {
  const [overview] = verbs([['--help']]);
  const names = [...overview!.stdout.matchAll(/^ {2}([a-z]+) /gm)]
    .map(([, name]) => name!)
    .filter((name) => name !== 'help');
  const each = names.map((name) => (name === 'ledger' ? ['ledger', 'import', '--help'] : [name, '--help']));
  const said = [overview!, ...verbs(each)];
  same('help.txt', said.map(({ args, stdout }) => `$ settlestream ${args.join(' ')}\n${stdout}\n`).join(''));
});
