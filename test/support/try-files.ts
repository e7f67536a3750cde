import { join } from 'node:path';
import { temporaryFolder, writeFiles } from './book.ts';
import { freshDatabase } from './postgres.ts';
import { settlestream } from './settlestream.ts';

const COLUMNS = ['requestId', 'type', 'amount', 'currency', 'status', 'occurredAt', 'originalRequestId'];

type Given = {
  /** Reports by path, each as its lines. */
  readonly files: Readonly<Record<string, readonly string[]>>;
  /** A record a line, as `COLUMNS` name it; the last columns may be left out. */
  readonly records: readonly string[];
  /** A format of one's own, as YAML, or the name of one that comes with the program. */
  readonly format?: string;
  readonly args?: readonly string[];
};

/** What `reconcile` answers to a handful of files, in a book of their own; each discrepancy as a line. */
export async function tryFiles({ files, records, format, args = [] }: Given) {
  const folder = writeFiles(temporaryFolder(), {
    'records.csv': [
      COLUMNS.join(','),
      ...records.map((record) => COLUMNS.map((_, at) => record.split(',')[at] ?? '').join(',')),
    ],
    ...(format?.includes('\n') ? { 'format.yaml': [format] } : {}),
    ...Object.fromEntries(Object.entries(files).map(([path, lines]) => [`reports/${path}`, lines])),
  });
  const named = format?.includes('\n') ? join(folder, 'format.yaml') : format;
  const ended = await settlestream(
    [
      'reconcile',
      join(folder, 'reports'),
      ...['--ledger', join(folder, 'records.csv'), '--merchant', 'M1'],
      ...(named === undefined ? [] : ['--format', named]),
      ...args,
      '--json',
    ],
    // One parser reads a handful of files as fast as two.
    {
      env: {
        DATABASE_URL: await freshDatabase(),
        SETTLESTREAM_DATA_DIR: join(folder, 'data'),
        SETTLESTREAM_PROCESSES: '1',
      },
    },
  );
  return { ended, code: ended.code, told: (): string[] => ended.json.discrepancies.map(line).sort() };
}

type Shown = Readonly<Record<string, string | number | null>>;

const line = ({ kind, line, type, requestId, field, reported, recorded, currency }: Shown): string =>
  [kind, line, type, requestId, field, reported, recorded, currency].map((part) => part ?? '-').join(' ');
