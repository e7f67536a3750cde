import { sql } from 'kysely';
import type { Db } from '../adapters/postgres/connection.ts';

/** A request that its sender may send again, by the key that the sender chose. */
export type KeyedRequest = { readonly tokenNo: number; readonly key: string; readonly hash: string };

/** What is known of an earlier request with this key; `status` is null while, or where, nobody knows what became of it. */
export type Earlier = { readonly hash: string; readonly status: number | null; readonly answer: string | null };

/** Claims the key: null for the one request that may be worked on, and what is known of it for all others. Old keys are forgotten. */
export async function claimRequest(db: Db, { tokenNo, key, hash }: KeyedRequest): Promise<Earlier | null> {
  await sql`delete from api_request where at < now() - interval '7 days'`.execute(db);
  const claimed = await sql`
    insert into api_request (token_no, key, hash) values (${tokenNo}, ${key}, ${hash}) on conflict do nothing returning 1`.execute(
    db,
  );
  if (claimed.rows.length > 0) return null;
  const earlier = await sql<Earlier>`
    select hash, status, answer from api_request where token_no = ${tokenNo} and key = ${key}`.execute(db);
  // It was given back between the two statements: the sender asks again.
  return earlier.rows[0] ?? { hash, status: null, answer: null };
}

export const keepAnswer = (db: Db, { tokenNo, key }: KeyedRequest, status: number, answer: string) =>
  sql`update api_request set status = ${status}, answer = ${answer} where token_no = ${tokenNo} and key = ${key}`.execute(
    db,
  );

/** Nothing was done, so the key may be used again. */
export const giveBack = (db: Db, { tokenNo, key }: KeyedRequest) =>
  sql`delete from api_request where token_no = ${tokenNo} and key = ${key} and status is null`.execute(db);
