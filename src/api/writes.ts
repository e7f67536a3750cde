import { HandlingRefused, handle } from '../operations/handle.ts';
import { type DatedDiscrepancy, datedDiscrepancies, listedReports } from '../views/batches/batches.sql.ts';
import { batchJson, datedJson } from '../views/batches/batches.ts';
import type { Answer, Call, Outcome } from './parts.ts';
import { notThere, Problem } from './problem.ts';
import { seenBy } from './reads.ts';
import type * as schemas from './schemas.ts';

type Asks<Name extends keyof typeof schemas> = Call<Record<string, never>, schemas.Asked<(typeof schemas)[Name]>>;

const VIA = 'api';

export async function handleDiscrepancy(call: Asks<'handling'>): Promise<Answer> {
  const { parts, person, named, body } = call;
  const { action, reason = null, text = null, to = null, until = null } = body;
  const isApproval = action === 'approve' || action === 'reject';
  if (isApproval && !person.roles.includes('approver')) throw new Problem(403, `${action} needs the role approver.`);
  const no = BigInt(named);
  if ((await discrepancyNo(call, no)) === null) throw notThere('discrepancy');
  const { writing: database, limits, now } = parts;
  const actor = { name: person.name, via: VIA };
  try {
    await handle({ database, actor, limits, merchants: person.merchants, now }, [
      { no, act: { action, reason, text, to, until }, line: null },
    ]);
  } catch (error) {
    if (!(error instanceof HandlingRefused)) throw error;
    const mistakes = error.mistakes.map(({ part, message }) => ({ part, message }));
    throw new Problem(error.isConflict ? 409 : 400, error.message, { mistakes });
  }
  return datedJson((await discrepancyNo(call, no))!, true);
}

async function discrepancyNo({ parts, person }: Asks<'handling'>, no: bigint): Promise<DatedDiscrepancy | null> {
  const statement = datedDiscrepancies({ nos: [no], merchants: person.merchants, isClosedToo: true });
  const { rows } = (await statement.execute(parts.reading.db)) as { rows: DatedDiscrepancy[] };
  return rows[0] ?? null;
}

export async function replayReports({ parts, person, body }: Asks<'replay'>): Promise<Answer> {
  const { dryRun, refused, merchant, ...ways } = body;
  const { batch, report, from, to } = ways;
  if ([batch, report, from ?? to, refused].filter((way) => way !== undefined).length !== 1)
    throw new Problem(400, 'Choose what to read again with exactly one of: batch, report, from and to, or refused.');
  const asked = { ...ways, merchant: seenBy(person, merchant), isRefused: refused === true };
  return shown(await parts.work.replay(asked, { isDry: dryRun, actor: { name: person.name, via: VIA } }));
}

export async function withdrawReport({ parts, person, named, body }: Asks<'withdrawal'>): Promise<Answer> {
  const filter = { nos: [Number(named)], merchants: person.merchants };
  const [report] = await listedReports(parts.reading.db, filter);
  if (report === undefined) throw notThere('report');
  const { file, no: reportNo, merchantId: merchant } = report;
  const reason = body.reason.trim();
  if (reason === '') throw new Problem(400, 'reason: say why the report is withdrawn.');
  const asked = { report: file, reportNo, merchant, reason };
  return shown(await parts.work.withdraw(asked, { name: person.name, via: VIA }));
}

const shown = ({ changes, hasFailed }: Outcome): Answer => ({ batches: changes, isIncomplete: hasFailed });

export async function confirmMatch({ parts, person, body }: Asks<'match'>): Promise<Answer> {
  const { batches, isMatched } = await parts.work.confirm(body, { name: person.name, via: VIA });
  return { batches: batches.map(batchJson), isIncomplete: !isMatched };
}
