import { SingleBar } from 'cli-progress';
import { sql } from 'kysely';
import type { Db } from '../../adapters/postgres/connection.ts';

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

async function progressOf(db: Db, deliveryNos: readonly number[]) {
  const found = await sql<{ size: bigint; read: bigint; rows: bigint }>`
    select coalesce(sum(d.size_bytes), 0)::bigint as size,
           coalesce(sum(case when d.state in ('found', 'reading') then coalesce(c.bytes, 0) else d.size_bytes end), 0)::bigint as read,
           coalesce(sum(c.rows), 0)::bigint as rows
      from delivery d
      left join lateral (select sum(c.length_bytes) as bytes, sum((c.facts->>'rows')::bigint) as rows
                           from load l join chunk c on c.load_no = l.no
                          where l.delivery_no = d.no and l.state in ('reading', 'loaded', 'closed') and c.state = 'loaded') c on true
     where d.no = any(${[...deliveryNos]}::int[])`.execute(db);
  const { size, read, rows } = found.rows[0]!;
  return { size: Number(size), read: Number(read), rows: Number(rows) };
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);
