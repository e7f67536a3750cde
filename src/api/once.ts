import type { Context } from 'hono';
import type { Db } from '../adapters/postgres/connection.ts';
import { claimRequest, giveBack, keepAnswer } from '../store/api-requests.ts';
import { Problem } from './problem.ts';

/**
 * Does what is asked once for each `Idempotency-Key` of a token: sent again, the request gets the first answer. What was refused did
 * nothing, so it may be tried again under the same key. Where nobody knows what became of it, it is not done again.
 */
export async function once(
  context: Context,
  db: Db,
  { tokenNo, hash }: { readonly tokenNo: number; readonly hash: string },
  act: () => Promise<Response>,
): Promise<Response> {
  const key = context.req.header('idempotency-key');
  if (key === undefined) return act();
  if (!/^[\x20-\x7e]{1,200}$/.test(key)) throw new Problem(400, 'Idempotency-Key: use 1 to 200 printable characters.');
  const request = { tokenNo, key, hash };
  const earlier = await claimRequest(db, request);
  if (earlier === null) {
    const response = await act();
    if (response.status < 400) await keepAnswer(db, request, response.status, await response.clone().text());
    else if (response.status < 500) await giveBack(db, request);
    return response;
  }
  if (earlier.hash !== hash)
    throw new Problem(422, 'This Idempotency-Key was sent with another request: use a new one for each request.');
  if (earlier.status === null || earlier.answer === null)
    throw new Problem(
      409,
      'A request with this Idempotency-Key is under way, or it ended without an answer. Look at what it was about before you send it with a new key.',
    );
  return new Response(earlier.answer, {
    status: earlier.status,
    headers: { 'Content-Type': 'application/json', 'Idempotency-Replayed': 'true' },
  });
}
