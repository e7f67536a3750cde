import { sql } from 'kysely';
import type { Db } from '../../adapters/postgres/connection.ts';
import type { BatchState } from '../../domain/discrepancy.ts';
import { type BatchFilter, type BatchView, batchesOf } from './batches.sql.ts';

export type BatchPage = Pick<BatchFilter, 'merchant' | 'merchants' | 'from' | 'to'> & {
  readonly state?: BatchState | undefined;
  /** Those that follow this one. */
  readonly after?: number | undefined;
  readonly limit: number;
  readonly isLatestFirst?: boolean;
};

/** The order of batches and days, without a look at what is in them. What has no date or id comes first. */
const PLACE = sql`coalesce(b.settlement_date, b.day, '-infinity'::date), coalesce(b.batch_id, ''), m.id, coalesce(b.currency, ''), b.no`;

/** Some batches and days that have a result, in their order: all that is known of a hundred thousand is not read for one page. */
export async function batchPage(
  db: Db,
  { merchant, merchants = null, from, to, state, after, limit, isLatestFirst = false }: BatchPage,
): Promise<BatchView[]> {
  const [beyond, direction] = isLatestFirst ? [sql`<`, sql`desc`] : [sql`>`, sql`asc`];
  // Sorted first: the state of each is looked at only until the page is full.
  const found = await sql<{ no: number }>`
    select listed.no from (
      select b.no from batch b join merchant m on m.no = b.merchant_no join run r on r.no = b.current_run
     where ${merchant === undefined ? sql`true` : sql`m.id = ${merchant}`}
       and ${merchants === null ? sql`true` : sql`m.id = any(${[...merchants]}::text[])`}
       and ${from === undefined ? sql`true` : sql`coalesce(b.settlement_date, b.day) >= ${from}::date`}
       and ${to === undefined ? sql`true` : sql`coalesce(b.settlement_date, b.day) <= ${to}::date`}
       and ${after === undefined ? sql`true` : sql`(${PLACE}) ${beyond} (select ${PLACE} from batch b join merchant m on m.no = b.merchant_no where b.no = ${after})`}
     order by coalesce(b.settlement_date, b.day, '-infinity'::date) ${direction}, coalesce(b.batch_id, '') ${direction}, m.id ${direction},
              coalesce(b.currency, '') ${direction}, b.no ${direction}
     offset 0) listed
     where ${state === undefined ? sql`true` : sql`(select s.state from batch_state s where s.batch_no = listed.no) = ${state}`}
     limit ${limit}`.execute(db);
  const nos = found.rows.map(({ no }) => no);
  const views = new Map((await batchesOf(db, { batchNos: nos })).map((batch) => [batch.no, batch]));
  return nos.flatMap((no) => views.get(no) ?? []);
}

const PORTION = 1_000;

/** All of them, a thousand at a time. */
export async function* batchPortions(db: Db, filter: Omit<BatchPage, 'after' | 'limit'>): AsyncGenerator<BatchView[]> {
  for (let after: number | undefined; ; ) {
    const portion = await batchPage(db, { ...filter, after, limit: PORTION });
    if (portion.length > 0) yield portion;
    if (portion.length < PORTION) return;
    after = portion.at(-1)!.no;
  }
}

/** Whether a number that somebody gives as the place to go on from is one. */
export async function isBatch(db: Db, no: number): Promise<boolean> {
  return (await db.selectFrom('batch').select('no').where('no', '=', no).executeTakeFirst()) !== undefined;
}
