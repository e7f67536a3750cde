/** Many deliveries in one call of `reconcile`, each of a merchant of its own, and what the answer says of each. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Answer, BatchAnswer, DayAnswer, DiscrepancyAnswer, ReportAnswer } from './answer.ts';
import { answerOf } from './book.ts';
import type { Delivery } from './changes.ts';
import type { CleanDay } from './clean-day.ts';
import { settlestream } from './settlestream.ts';

/** What is said of one merchant. */
export type Said = {
  readonly reports: readonly ReportAnswer[];
  readonly batches: readonly BatchAnswer[];
  readonly days: readonly DayAnswer[];
  readonly discrepancies: readonly DiscrepancyAnswer[];
};

/** Told: somebody has to look. Absent: nothing is told, and not all that was to be reconciled is said to be. Green: all of it is, and nothing is told. */
export type Verdict = 'told' | 'absent' | 'green';

export function verdictOf(day: CleanDay, { reports, batches, days, discrepancies }: Said): Verdict {
  const isRead = ({ state }: ReportAnswer) => state === 'closed' || state === 'duplicate';
  const states = [...batches, ...days].map(({ state }) => state);
  if (discrepancies.length > 0 || !reports.every(isRead) || states.some((state) => state !== 'reconciled'))
    return 'told';
  const isThere =
    day.batches.every((id) => batches.some(({ settlementBatchId }) => settlementBatchId === id)) &&
    day.days.every((date) => days.some(({ transactionDate }) => transactionDate === date));
  return isThere ? 'green' : 'absent';
}

export async function reconcileAll(
  folder: string,
  day: CleanDay,
  deliveries: readonly Delivery[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly answer: Answer; readonly said: readonly Said[] }> {
  const merchants = deliveries.map((_, at) => `m${String(at + 1).padStart(5, '0')}`);
  const records = ['requestId,type,amount,currency,status,occurredAt,orderId,originalRequestId,merchantId'];
  for (const [at, { files, records: sheet }] of deliveries.entries()) {
    const merchant = merchants[at]!;
    for (const [name, text] of Object.entries(files)) {
      const path = join(folder, 'reports', name.replace('{merchant}', merchant));
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, text);
    }
    for (const row of sheet.rows) records.push([...row, merchant].join(','));
  }
  const ledger = join(folder, 'records.csv');
  writeFileSync(ledger, records.map((line) => `${line}\n`).join(''));
  const format = join(folder, 'format.yaml');
  if (day.formatFile !== null) writeFileSync(format, day.formatFile);
  const options = [...day.options, ...(day.formatFile === null ? [] : ['--format', format])];
  const ended = await settlestream(['reconcile', join(folder, 'reports'), '--ledger', ledger, ...options, '--json'], {
    env,
    timeoutMs: 1_800_000,
  });
  const answer = answerOf(ended);
  const of = <T>(items: readonly T[], merchant: (item: T) => string | undefined) => Map.groupBy(items, merchant);
  const reports = of(answer.reports, ({ file }) => /(?:^|\/)(m\d{5})\//.exec(file)?.[1]);
  const batches = of(answer.batches, ({ merchantId }) => merchantId);
  const days = of(answer.transactionDays, ({ merchantId }) => merchantId);
  const told = of(answer.discrepancies, ({ merchantId }) => merchantId);
  const said = merchants.map((merchant) => ({
    reports: reports.get(merchant) ?? [],
    batches: batches.get(merchant) ?? [],
    days: days.get(merchant) ?? [],
    discrepancies: told.get(merchant) ?? [],
  }));
  return { answer, said };
}
