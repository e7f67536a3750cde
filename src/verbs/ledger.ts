import { basename } from 'node:path';
import type { Config, Options } from '../config/config.ts';
import { UsageError } from '../domain/errors.ts';
import { importLedger } from '../producers/records/import-ledger.ts';
import { type LedgerInUse, useLedger } from '../store/ledger/ledger.ts';
import { actorOf } from './session/actor.ts';
import { migrate, openStorage } from './session/storage.ts';

/** Imports the merchant's records. Ends with 3 when some of them were refused; the others are in the book then. */
export async function importRecords(config: Config, file: string, options: Options): Promise<number> {
  const book = await openStorage(config, { mayBeTemporary: false });
  try {
    process.stderr.write(`settlestream: ${book.description}\n`);
    await migrate(book.database);
    refuseImport(await useLedger(book.database, config.ledger), 'ledger import');
    const imported = await importLedger(
      book.database,
      file,
      config.merchant ?? null,
      (line, reason) => {
        process.stderr.write(`refused: ${basename(file)}, line ${line}, ${reason}\n`);
      },
      (note) => void process.stderr.write(`note: ${basename(file)}: ${note}\n`),
      actorOf(options),
    );
    if (options['json']) process.stdout.write(`${JSON.stringify(imported)}\n`);
    else {
      const { records, inserted, changed, refused } = imported;
      process.stdout.write(`${records} records read: ${inserted} new, ${changed} changed, ${refused} refused\n`);
    }
    return imported.refused > 0 ? 3 : 0;
  } finally {
    await book.close();
  }
}

/** @throws UsageError where imported records would be compared with nothing. */
export function refuseImport({ isImported, described }: LedgerInUse, what: string): void {
  if (isImported) return;
  throw new UsageError(
    `${what}: this database reads the merchant's records from ${described}, so a file of records would be ignored. Leave the file out, or set ledger.relation to imported.`,
  );
}
