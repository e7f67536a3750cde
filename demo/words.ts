import { KINDS_AT_ONCE } from '../src/domain/discrepancy.ts';
import { FIRST_DROP_DAY } from './drops.ts';
import { PLANTED } from './faults.ts';
import { isoDay } from './week.ts';

/** What the demo does is told on stderr; stdout holds the answer. */
export const tell = (line: string): void => void process.stderr.write(`demo: ${line}\n`);

export const SUGGESTED_DIR = 'demo-book';

/** How to look into the demo, in commands that work as they stand. */
export function whatNext(dataDir: string | null, batch: string): string {
  const at = `--data-dir ${dataDir === null ? SUGGESTED_DIR : shellWord(dataDir)}`;
  const look = [
    `  ${withDatabase()} discrepancies --kind unknown_transaction ${at}`,
    `  ${withDatabase()} show ${batch} ${at}`,
  ];
  const next =
    dataDir === null
      ? [
          'This book was a temporary one and is gone. To keep it, and look into it:',
          `  npx settlestream demo ${at}`,
          ...look,
        ]
      : ['The book and the reports are kept. To look into them:', `  ${withDatabase()} batches ${at}`, ...look];
  return lines([
    ...whatItWas(),
    ...next,
    '',
    'To see how it goes on, with new reports now and then:',
    '  npx settlestream demo --keep',
    '',
  ]);
}

/** How to look on while new batches come. `isTemporary`: the book and the reports go away at the end. */
export function whileItGoesOn(
  everySeconds: number,
  port: number,
  { dataDir, isTemporary }: { dataDir: string; isTemporary: boolean },
): string {
  const at = `--from ${isoDay(FIRST_DROP_DAY + 1)} --data-dir ${shellWord(dataDir)}`;
  return lines([
    ...whatItWas(),
    `It goes on until Ctrl-C: every ${everySeconds} s a new batch comes to the provider's server, and the standing service, which`,
    'watches the server, reconciles it. To look on, from another terminal:',
    `  curl -s http://127.0.0.1:${port}/metrics | grep ^recon_`,
    `  ${withDatabase()} batches ${at}`,
    `  ${withDatabase()} discrepancies ${at}`,
    isTemporary ? 'Book and reports are temporary: they go away at the end.' : 'The book and the reports are kept.',
    '',
  ]);
}

const whatItWas = (): string[] => [
  '',
  `All of this is made up, and every fault was planted: all ${KINDS_AT_ONCE.length} kinds that can be told at once, by ${PLANTED.length} mishaps (demo/faults.ts says what happened).`,
  '',
];

/** Where a database is set, looking goes there and not into the demo's book. */
const withDatabase = (): string => `${process.env['DATABASE_URL'] ? 'DATABASE_URL= ' : ''}npx settlestream`;

const lines = (all: readonly string[]): string => all.map((line) => `${line}\n`).join('');

const shellWord = (text: string): string => (/^[\w./~-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
