import { UsageError } from '../domain/errors.ts';
import type { Person } from '../domain/roles.ts';
import { merchantSeen } from '../store/sessions.ts';
import { type AuditView, auditEvents } from '../views/audit/audit.sql.ts';
import { auditJson } from '../views/audit/audit.ts';
import { type EntryView, entries } from '../views/bank/entries.sql.ts';
import { entryJson } from '../views/bank/entries.ts';
import { batchAnswer } from '../views/batches/batch-answer.ts';
import { batchPage, isBatch } from '../views/batches/batch-page.ts';
import { batchesOf, isDiscrepancy, listedReports } from '../views/batches/batches.sql.ts';
import { agedJson, datedJson, discrepancyPage, jsonArray, listedReportJson } from '../views/batches/batches.ts';
import { everythingOpen, openAnswer } from '../views/open-items/everything.ts';
import { placeGiven, recordPage } from '../views/open-items/lines.ts';
import { storyJson, tracePayment } from '../views/payment-trace/trace.ts';
import type { Answer, Call } from './parts.ts';
import { notThere, Problem } from './problem.ts';
import type * as schemas from './schemas.ts';

type Asks<Name extends keyof typeof schemas> = Call<schemas.Asked<(typeof schemas)[Name]>, null>;

const badCursor = (after: string): Problem =>
  new Problem(400, `after ${after}: not a valid cursor. Use the value of "next" of the page before.`);

/** The rows of a page and where the next one begins, of one row more than is shown. */
function pageOf<Row>(rows: readonly Row[], limit: number, cursor: (last: Row) => string) {
  const shown = rows.slice(0, limit);
  return { shown, next: rows.length > limit ? cursor(shown.at(-1)!) : null };
}

export async function listBatches({ parts, person: { merchants }, query }: Asks<'batches'>): Promise<Answer> {
  const { merchant, from, to, state, after, limit } = query;
  const { db } = parts.reading;
  const place = placeOf(after);
  if (place !== undefined && !(await isBatch(db, place))) throw badCursor(after!);
  const found = await batchPage(db, { merchant, from, to, merchants, state, after: place, limit: Number(limit) + 1 });
  const { shown, next } = pageOf(found, Number(limit), ({ no }) => String(no));
  return { batches: shown.map((batch) => ({ no: batch.no, ...agedJson(batch) })), next };
}

export async function oneBatch({ parts, person: { merchants }, named, query }: Asks<'batch'>): Promise<Answer> {
  const filter = { batchNos: [Number(named)], merchants };
  const [batch] = await batchesOf(parts.reading.db, filter);
  if (batch === undefined) throw notThere('batch');
  return batchAnswer(parts.reading, batch, filter, { hasRows: query.rows === 'true' });
}

export async function listDiscrepancies({ parts, person, query }: Asks<'discrepancies'>): Promise<Answer> {
  const { reading } = parts;
  const { handling, assigned, closed, after, limit, ...filter } = query;
  if (after !== undefined && !(await isDiscrepancy(reading.db, BigInt(after)))) throw badCursor(after);
  const isClosedToo = closed === 'true';
  const page = discrepancyPage(reading, {
    ...filter,
    merchants: person.merchants,
    handling,
    assignedTo: assigned,
    isClosedToo,
    after: after === undefined ? undefined : BigInt(after),
    limit: Number(limit),
  });
  return (async function* () {
    yield '{"discrepancies":';
    yield* jsonArray(page.portions(), (row) => datedJson(row, isClosedToo));
    yield `,"next":${JSON.stringify(page.next())}}\n`;
  })();
}

export async function onePayment({ parts, person, named, query }: Asks<'payment'>): Promise<Answer> {
  const merchant = seenBy(person, query.merchant);
  try {
    return storyJson(await tracePayment(parts.reading, named, merchant, () => {}));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const isUnknown = error.message.startsWith('nothing is known');
    throw new Problem(isUnknown ? 404 : 400, error.message.replace('--merchant', '?merchant='));
  }
}

/** Whose rows are looked at: of a merchant that may not be seen nothing is there. */
export function seenBy(person: Person, merchant: string | undefined): string | undefined {
  try {
    return merchantSeen(person, merchant);
  } catch (error) {
    throw new Problem(400, (error as Error).message);
  }
}

export async function listReports({ parts, person: { merchants }, query }: Asks<'reports'>): Promise<Answer> {
  const { after, limit, ...filter } = query;
  const found = await listedReports(parts.reading.db, {
    ...filter,
    merchants,
    after: placeOf(after),
    limit: Number(limit) + 1,
  });
  const { shown, next } = pageOf(found, Number(limit), ({ no }) => String(no));
  return { reports: shown.map(listedReportJson), next };
}

const MOST_NUMBER = 2_147_483_647;

/** A place in rows whose numbers are short: behind the highest one there is nothing. */
const placeOf = (after: string | undefined): number | undefined =>
  after === undefined ? undefined : Math.min(Number(after), MOST_NUMBER);

export async function listEntries({ parts, person: { merchants }, query }: Asks<'entries'>): Promise<Answer> {
  const { account, from, to, after, limit } = query;
  const [fileNo, ordinal] = after === undefined ? [] : after.split('.').map(Number);
  const filter = {
    account,
    from,
    to,
    isOpen: query.open === 'true',
    merchants,
    after: fileNo === undefined || ordinal === undefined ? undefined : { fileNo, ordinal },
    limit: Number(limit) + 1,
  };
  const { rows } = (await entries(filter).execute(parts.reading.db)) as { rows: EntryView[] };
  const { shown, next } = pageOf(rows, Number(limit), (last) => `${last.fileNo}.${last.ordinal}`);
  return { entries: shown.map(entryJson), next };
}

export async function listOpen({ parts, person: { merchants }, query }: Asks<'open'>): Promise<Answer> {
  const { reading, calendars, timeZone, now } = parts;
  const { merchant, from, to, after, limit, records } = query;
  const nowMs = now();
  const filter = { merchant, merchants, from, to };
  const everything = await everythingOpen(reading, { filter, calendars, timeZone, nowMs });
  const isListed = records === 'true' || after !== undefined;
  const page = { after: placeGiven(after), limit: Number(limit), nowMs };
  return openAnswer(everything, isListed ? recordPage(reading, everything.unsettled, page) : null);
}

export async function listAudit({ parts, query }: Asks<'audit'>): Promise<Answer> {
  const { after, limit, ...filter } = query;
  const statement = auditEvents({
    ...filter,
    after: after === undefined ? undefined : BigInt(after),
    limit: Number(limit) + 1,
  });
  const { rows } = (await statement.execute(parts.reading.db)) as { rows: AuditView[] };
  const { shown, next } = pageOf(rows, Number(limit), ({ no }) => String(no));
  return { events: shown.map(auditJson), next };
}
