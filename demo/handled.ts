import type { Database } from '../src/adapters/postgres/connection.ts';
import type { Act } from '../src/domain/handling.ts';
import { handle } from '../src/operations/handle.ts';
import { type DatedDiscrepancy, datedDiscrepancies } from '../src/views/batches/batches.sql.ts';

const NOTHING = { reason: null, text: null, to: null, until: null } as const;
const nextWeek = () => new Date(Date.now() + 7 * 86_400_000).toISOString().slice(0, 10);

/** What people have done about the made-up week: the first of each of these kinds. */
const DONE: readonly (readonly [kind: string, by: string, act: () => Act])[] = [
  [
    'amount_mismatch',
    'ann',
    () => ({ ...NOTHING, action: 'accept', reason: 'rounding', text: 'a rounding of the shop' }),
  ],
  ['net_mismatch', 'ann', () => ({ ...NOTHING, action: 'accept', reason: 'provider_claim', text: 'claim 4711' })],
  ['unknown_transaction', 'ann', () => ({ ...NOTHING, action: 'assign', to: 'bob' })],
  ['status_mismatch', 'bob', () => ({ ...NOTHING, action: 'comment', text: 'the provider was asked' })],
  [
    'missing_summary',
    'bob',
    () => ({ ...NOTHING, action: 'snooze', until: nextWeek(), text: 'comes with the next one' }),
  ],
];

/** Has two people handle some discrepancies; what ann accepts of much money waits for bob. */
export async function handleSome(database: Database): Promise<void> {
  const { rows } = (await datedDiscrepancies({}).execute(database.db)) as { rows: DatedDiscrepancy[] };
  for (const [kind, name, act] of DONE) {
    const found = rows.find((row) => row.kind === kind);
    if (found === undefined) continue;
    const context = { database, actor: { name, via: 'demo' }, limits: APPROVAL, merchants: null, now: Date.now };
    await handle(context, [{ no: found.no, act: act(), line: null }]);
  }
}

/** Most that one person may accept alone. */
export const APPROVAL = Object.fromEntries(
  ['USD', 'EUR', 'SGD', 'HKD', 'GBP', 'KWD', 'JPY'].map((code) => [code, 100n]),
);
