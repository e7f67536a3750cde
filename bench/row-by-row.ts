import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'csv-parse';
import pg from 'pg';
import type { MadeBatch } from './make-batch.ts';

type Row = Readonly<
  Record<'transactionRequestId' | 'transactionType' | 'transactionAmountValue' | 'transactionCurrency', string>
>;

/**
 * The worker that is written first: parse, look up the record, compare, next row. Reads the first rows of the batch only.
 * @returns seconds a row. The index that it needs is made before the clock starts.
 */
export async function secondsARow(url: string, batch: MadeBatch, sample: number, signal: AbortSignal): Promise<number> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query('create index on record (request_id)');
    await client.query('vacuum analyze record');
    const startedAt = performance.now();
    const matched = await matchRows(client, batch, sample, signal);
    const seconds = (performance.now() - startedAt) / 1_000;
    if (matched !== sample) throw new Error(`row by row: ${matched} of ${sample} rows matched`);
    return seconds / sample;
  } finally {
    await client.end();
  }
}

async function matchRows(client: pg.Client, batch: MadeBatch, sample: number, signal: AbortSignal): Promise<number> {
  let matched = 0;
  const rows = createReadStream(join(batch.batchDir, batch.details)).pipe(
    parse({ columns: true, to: sample, relax_column_count: true }),
  );
  for await (const row of rows as AsyncIterable<Row>) {
    signal.throwIfAborted();
    const found = await client.query<{ amountMinor: string; currency: string; status: string }>(
      'select amount_minor as "amountMinor", currency, status from record where request_id = $1 and type = $2',
      [row.transactionRequestId, row.transactionType],
    );
    const [record] = found.rows;
    const amountMinor = Math.abs(Math.round(Number(row.transactionAmountValue) * 100));
    const isMatched =
      Number(record?.amountMinor) === amountMinor &&
      record?.currency === row.transactionCurrency &&
      record?.status === 'SUCCESS';
    if (isMatched) matched += 1;
  }
  return matched;
}
