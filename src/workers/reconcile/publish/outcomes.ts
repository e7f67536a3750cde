import type { RecordMetric } from '../../../adapters/metrics/definitions.ts';
import type { Db } from '../../../adapters/postgres/connection.ts';
import { formatAmount } from '../../../domain/money/money.ts';
import type { Decision } from '../decision.ts';
import { amountOutcomes, rowOutcomes } from './outcomes.sql.ts';

/** Counts the rows of a run by outcome, if it read new ones. */
export async function countRowOutcomes(db: Db, batchNo: number, recordMetric: RecordMetric): Promise<void> {
  for (const { source, kind, ...outcomes } of await rowOutcomes(db, batchNo)) {
    for (const [outcome, rows] of Object.entries(outcomes) as [keyof typeof outcomes, bigint][])
      recordMetric({ name: 'recon_rows_total', labels: { source, kind, outcome }, value: Number(rows) });
  }
}

/** Counts the settlement amounts of such a run by outcome. */
export async function countAmounts(db: Db, { batch, details }: Decision, recordMetric: RecordMetric): Promise<void> {
  const { no, batchId, currency } = batch;
  if (batchId === null || currency === null || details.length === 0) return;
  for (const { source, outcome, amountMinor } of await amountOutcomes(db, no, details)) {
    const value = Number(formatAmount(BigInt(amountMinor), currency));
    recordMetric({ name: 'recon_settlement_amount_total', labels: { source, currency, outcome }, value });
  }
}
