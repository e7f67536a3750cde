import { sql } from 'kysely';
import type { Db } from '../../adapters/postgres/connection.ts';
import { deductedOf } from '../../domain/report/amounts.ts';
import { formatsOf } from '../../store/formats.ts';
import type { BatchView } from './batches.sql.ts';

/** What a fee that the reports of a batch print does to the money: added, taken off, or null where its columns do different things. */
export async function feeSignOf(db: Db, { run, acquirer }: BatchView): Promise<1n | -1n | null> {
  const read = await sql<{ format: string }>`
    select distinct l.format from run_load rl join load l on l.no = rl.load_no where rl.run_no = ${run}`.execute(db);
  const signs = [...(await formatsOf(db, read.rows)).values()].flatMap((format) => {
    const deducted = deductedOf(format, acquirer);
    const fees = Object.values(format.amounts)
      .flat()
      .filter(({ role }) => role === 'fee');
    return fees.map(({ column }) => (deducted.includes(column) ? -1n : 1n));
  });
  const [sign = null] = signs;
  return signs.every((one) => one === sign) ? sign : null;
}
