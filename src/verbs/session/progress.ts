import { SingleBar } from 'cli-progress';
import type { Db } from '../../adapters/postgres/connection.ts';
import { progressOf } from '../../views/progress/progress.sql.ts';

const EVERY_MS = 250;

/** A progress bar on a terminal, and nothing anywhere else: bytes and rows loaded, the rate, the time left. */
export function startProgress() {
  if (!process.stderr.isTTY) return { show: async () => {}, stop: () => {} };
  const bar = new SingleBar({
    stream: process.stderr,
    format: '{bar} {percentage}% · {read} of {size} MB · {rows} rows · {rate} rows/s · {left}',
    hideCursor: true,
    clearOnComplete: true,
  });
  const startedAt = Date.now();
  let shownAt = 0;
  return {
    async show(db: Db, deliveryNos: readonly number[]) {
      if (Date.now() - shownAt < EVERY_MS) return;
      const { size, read, rows } = await progressOf(db, deliveryNos);
      const seconds = (Date.now() - startedAt) / 1000;
      const shown = {
        read: megabytes(read),
        size: megabytes(size),
        rows: rows.toLocaleString('en'),
        rate: Math.round(rows / seconds).toLocaleString('en'),
        left: read >= size ? 'comparing' : read > 0 ? `${Math.ceil((seconds * (size - read)) / read)} s left` : '',
      };
      if (shownAt === 0) bar.start(size, read, shown);
      else bar.update(read, shown);
      shownAt = Date.now();
    },
    stop: () => bar.stop(),
  };
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);
