import { KINDS_AT_ONCE } from '../src/domain/discrepancy.ts';
import { PLANTED_AT_BANK } from './bank-faults.ts';
import { FIRST_DROP_DAY } from './drops.ts';
import { PLANTED } from './faults.ts';
import { isoDay } from './week.ts';

/** Prints what the demo does on stderr; stdout has the answer. */
export const tell = (line: string): void => void process.stderr.write(`demo: ${line}\n`);

export const SUGGESTED_DIR = 'demo-book';

/** Returns commands that query the demo's database; they work as printed. */
export function whatNext(dataDir: string | null, batch: string): string {
  const at = `--data-dir ${dataDir === null ? SUGGESTED_DIR : shellWord(dataDir)}`;
  const look = [
    `  ${demoCommand()} discrepancies --kind unknown_transaction ${at}`,
    `  ${demoCommand()} show ${batch} ${at}`,
    `  ${demoCommand()} bank ${at}`,
  ];
  const next =
    dataDir === null
      ? [
          'This database was temporary and is removed. To keep it, and query it:',
          `  npx settlestream demo ${at}`,
          ...look,
        ]
      : ['Database and reports are kept. To query them:', `  ${demoCommand()} batches ${at}`, ...look];
  return lines([
    ...whatItWas(),
    ...next,
    '',
    'To continue as a service with new reports:',
    '  npx settlestream demo --keep',
    '',
  ]);
}

/** Returns commands to watch new batches. `isTemporary`: database and reports are removed at the end. */
export function whileItGoesOn(
  everySeconds: number,
  port: number,
  { dataDir, isTemporary }: { dataDir: string; isTemporary: boolean },
  links: readonly string[],
): string {
  const at = `--from ${isoDay(FIRST_DROP_DAY + 1)} --data-dir ${shellWord(dataDir)}`;
  return lines([
    ...whatItWas(),
    `It runs until Ctrl-C: every ${everySeconds} s a new batch arrives on the provider's server, and the service, which`,
    'polls the server, reconciles it. Its metrics:',
    `  curl -s http://127.0.0.1:${port}/metrics | grep ^recon_`,
    'In a browser on this machine (some discrepancies are handled already; each link works once, within 15 minutes; the second one is for',
    'another person, who may approve what the first one accepts):',
    ...links.map((link) => `  ${link}`),
    'From another terminal:',
    `  ${demoCommand()} batches ${at}`,
    `  ${demoCommand()} discrepancies ${at}`,
    isTemporary ? 'Database and reports are temporary: they are removed at the end.' : 'Database and reports are kept.',
    '',
  ]);
}

const whatItWas = (): string[] => [
  '',
  `All of this is made up, and every fault was planted: all ${KINDS_AT_ONCE.length} kinds that one call can report, by ${PLANTED.length + PLANTED_AT_BANK.length} incidents (see demo/faults.ts and demo/bank-faults.ts).`,
  '',
];

/** If DATABASE_URL is set, queries would go there and not to the demo's database. */
const demoCommand = (): string => `${process.env['DATABASE_URL'] ? 'DATABASE_URL= ' : ''}npx settlestream`;

const lines = (all: readonly string[]): string => all.map((line) => `${line}\n`).join('');

const shellWord = (text: string): string => (/^[\w./~-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
