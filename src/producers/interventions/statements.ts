import { sql } from 'kysely';
import type { Db } from '../../adapters/postgres/connection.ts';
import type { Actor } from '../../domain/audit.ts';
import { UsageError } from '../../domain/errors.ts';
import { recordAudit } from '../../store/audit.ts';
import { noteBankChange } from '../../store/bank/settings.ts';
import { recordIntervention } from './revisions.sql.ts';

export type StatementsNamed = { readonly no: number; readonly file: string; readonly state: string };

/**
 * Takes a file of bank statements out, for a reason. What it replaced counts again. Done twice, the second finds it done. Inside a transaction.
 * @throws UsageError when there is no such file.
 */
export async function withdrawStatements(
  db: Db,
  { name, reason }: { readonly name: string; readonly reason: string },
  actor: Actor,
): Promise<StatementsNamed & { readonly isNew: boolean }> {
  const found = await fileNamed(db, name);
  if (found.state === 'withdrawn') return { ...found, isNew: false };
  const interventionNo = await recordIntervention(db, 'withdrawal', `${found.file}: ${reason}`);
  await sql`update bank_file set state = 'withdrawn', withdrawn_reason = ${reason}, intervention_no = ${interventionNo}, epoch = epoch + 1
             where no = ${found.no}`.execute(db);
  await noteBankChange(db, 'statement');
  await recordAudit(db, actor, [{ what: 'withdraw', subject: `bank statements ${found.file}`, reason }]);
  return { ...found, isNew: true };
}

/**
 * Asks for a file of bank statements to be read again, from the archive; a withdrawn one comes back. What it says counts meanwhile. Inside a
 * transaction.
 * @throws UsageError when there is no such file.
 */
export async function replayStatements(db: Db, name: string, actor: Actor): Promise<StatementsNamed> {
  const found = await fileNamed(db, name);
  const interventionNo = await recordIntervention(db, 'replay', `bank statements ${found.file}`);
  await sql`update bank_file set state = 'found', read_at = case when state in ('read', 'found') then read_at end, intervention_no = ${interventionNo},
         withdrawn_reason = null, error_code = null, error_message = null, epoch = epoch + 1, attempts = 0, next_attempt_at = null, parked_reason = null
       where no = ${found.no}`.execute(db);
  await recordAudit(db, actor, [{ what: 'replay', subject: `bank statements ${found.file}` }]);
  return found;
}

/** The newest file of this name, or with this beginning of its SHA-256. */
async function fileNamed(db: Db, name: string): Promise<StatementsNamed> {
  const isHash = /^[0-9a-f]{8,64}$/i.test(name);
  const found = await sql<StatementsNamed & { sha256: string | null }>`
    select no, file, state, sha256 from bank_file
     where file = ${name} or path = ${name} or ${isHash} and sha256 like ${`${name.toLowerCase()}%`}
     order by no desc for update`.execute(db);
  const [newest, ...others] = found.rows;
  if (newest === undefined)
    throw new UsageError(
      `there is no file of bank statements ${name}: use its file as "settlestream bank --json" prints it under bankStatements, or at least 8 digits of its SHA-256.`,
    );
  const other = others.find(({ file }) => file !== newest.file);
  if (other) throw new UsageError(`${name} names ${newest.file} and ${other.file}: give more digits.`);
  return { no: newest.no, file: newest.file, state: newest.state };
}
