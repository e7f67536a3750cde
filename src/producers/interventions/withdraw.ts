import type { Db } from '../../adapters/postgres/connection.ts';
import type { Actor } from '../../domain/audit.ts';
import { ReportRefused, UsageError } from '../../domain/errors.ts';
import { recordAudit } from '../../store/audit.ts';
import { lockBatches } from '../../store/batches.ts';
import { isOneReport, type Recorded } from './replay.ts';
import * as query from './revisions.sql.ts';

export type Withdrawal = Recorded & { readonly file: string; readonly revision: number; readonly isNew: boolean };

export type WithdrawRequest = {
  readonly report: string;
  /** Where its number is known: no other report is meant. */
  readonly reportNo?: number | undefined;
  readonly merchant: string | undefined;
  readonly reason: string;
};

/**
 * Takes the newest content of a report out, for a reason: the content before it counts again, if there is one. Done twice, the
 * second finds it done. Inside a transaction.
 * @throws UsageError when no such content counts.
 */
export async function withdraw(db: Db, request: WithdrawRequest, actor: Actor): Promise<Withdrawal> {
  const { report, merchant, reason } = request;
  const found = isOneReport(await query.revisionsOf(db, { report, reportNo: request.reportNo, merchant }), report);
  const candidates = found.filter(
    ({ state, revision, countingRevision, isConflicting }) =>
      state === 'withdrawn' || isConflicting || revision === countingRevision,
  );
  const named = candidates.filter(({ isConflicting }) => isConflicting);
  const exact = named.filter(({ file }) => file === report);
  const conflicting = exact.length > 0 ? exact : named;
  if (conflicting.length > 1)
    throw new UsageError(
      `${report} names several files with different contents of a report; choose the one to withdraw:${conflicting.map(({ file }) => `\n  ${file}`).join('')}`,
    );
  const content = conflicting[0] ?? candidates.at(-1);
  if (content?.revision == null)
    throw new UsageError(`${report}: none of its contents counts, so there is nothing to withdraw.`);
  const { file, revision, countingRevision, batchNo, reportNo } = content;
  const withdrawn = { file, revision, deliveryNos: [], batchNos: [batchNo], lastRuns: await query.lastRuns(db) };
  if (content.state === 'withdrawn') return { ...withdrawn, interventionNo: 0, isNew: false };
  if (revision < countingRevision) {
    throw new UsageError(
      `${report} is revision ${revision} of ${file}, and revision ${countingRevision} counts: withdraw that one first.`,
    );
  }
  const interventionNo = await query.recordIntervention(db, 'withdrawal', `${file}: ${reason}`);
  await lockBatches(db, [batchNo]);
  const { message } = new ReportRefused('withdrawn', reason);
  await query.withdrawRevision(db, { reportNo, batchNo, revision }, { reason, message, interventionNo });
  await recordAudit(db, actor, [{ what: 'withdraw', subject: `revision ${revision} of ${file}`, reason }]);
  return { ...withdrawn, interventionNo, isNew: true };
}
