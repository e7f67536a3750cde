import { sql } from 'kysely';
import type { Db } from '../../adapters/postgres/connection.ts';
import type { Actor } from '../../domain/audit.ts';
import { UsageError } from '../../domain/errors.ts';
import { recordAudit } from '../../store/audit.ts';
import { noteBankChange } from '../../store/bank/settings.ts';
import { recordIntervention } from './revisions.sql.ts';

/** An entry, by what stays the same in whatever file it stands. */
export type EntryNamed = { readonly account: string; readonly entryKey: bigint; readonly ordinal: number };

/** Notes that a person says that this entry pays this batch. False: it was said before. Inside a transaction. */
export async function confirmEntry(
  db: Db,
  entry: EntryNamed,
  batch: { readonly batchNo: number; readonly asked: string },
  actor: Actor,
): Promise<boolean> {
  await lockConfirmations(db);
  const known = await confirmationsOf(db, entry);
  if (known.some(({ batchNo }) => batchNo === batch.batchNo)) return false;
  const interventionNo = await recordIntervention(db, 'bankMatch', batch.asked);
  await db
    .insertInto('bank_confirmation')
    .values({
      batch_no: batch.batchNo,
      account: entry.account,
      entry_key: entry.entryKey,
      ordinal: entry.ordinal,
      intervention_no: interventionNo,
    })
    .execute();
  await noteBankChange(db, 'person');
  await recordAudit(db, actor, [{ what: 'bank.match', subject: batch.asked }]);
  return true;
}

/**
 * Takes back what was confirmed of an entry, of one batch or of all. Inside a transaction.
 * @throws UsageError when nothing of it was confirmed.
 */
export async function unconfirmEntry(
  db: Db,
  entry: EntryNamed,
  { batchNo, asked }: { readonly batchNo: number | null; readonly asked: string },
  actor: Actor,
): Promise<void> {
  await lockConfirmations(db);
  const mine = (await confirmationsOf(db, entry)).filter((one) => batchNo === null || one.batchNo === batchNo);
  if (mine.length === 0)
    throw new UsageError(
      `${asked}: nobody has confirmed that, so there is nothing to take back. What was matched by reference, amount or sum changes with a confirmation: settlestream bank match.`,
    );
  const ended = await recordIntervention(db, 'bankUnmatch', asked);
  await sql`update bank_confirmation set ended_by = ${ended} where no = any(${mine.map(({ no }) => no)}::int[])`.execute(
    db,
  );
  await noteBankChange(db, 'person');
  await recordAudit(db, actor, [{ what: 'bank.match', subject: `taken back: ${asked}` }]);
}

/** One at a time, so that the same is not written down twice. */
const lockConfirmations = (db: Db) => sql`lock table bank_confirmation in share row exclusive mode`.execute(db);

const confirmationsOf = (db: Db, { account, entryKey, ordinal }: EntryNamed) =>
  db
    .selectFrom('bank_confirmation')
    .select(['no', 'batch_no as batchNo'])
    .where('account', '=', account)
    .where('entry_key', '=', entryKey)
    .where('ordinal', '=', ordinal)
    .where('ended_by', 'is', null)
    .execute();
