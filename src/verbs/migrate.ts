import type { Config } from '../config/config.ts';
import { useLedger } from '../store/ledger/ledger.ts';
import { migrate, openStorage } from './session/storage.ts';

/** Brings the database up to date, and says what was done. */
export async function migrateBook(config: Config, json: boolean): Promise<number> {
  const book = await openStorage(config, { mayBeTemporary: false });
  try {
    const applied = await migrate(book.database);
    await useLedger(book.database, config.ledger);
    if (json) process.stdout.write(`${JSON.stringify({ applied })}\n`);
    else process.stdout.write(applied.length > 0 ? `applied ${applied.join(', ')}\n` : 'the database is up to date\n');
    return 0;
  } finally {
    await book.close();
  }
}
