import { onOneConnection } from '../adapters/postgres/connection.ts';
import { inTransaction } from '../adapters/postgres/transactions.ts';
import type { Config, Options } from '../config/config.ts';
import { hashOf, newSecret } from '../console/security.ts';
import { UsageError } from '../domain/errors.ts';
import { recordAudit } from '../store/audit.ts';
import { insertToken, revokeToken, type Token, tokensOf } from '../store/tokens.ts';
import { writeAll } from '../views/output/output.ts';
import { table } from '../views/output/tables.ts';
import { personOf } from './console.ts';
import { actorOf } from './session/actor.ts';
import { numberIn } from './session/options.ts';
import { withDatabase } from './session/storage.ts';

/** Makes a token for the API and shows it, this once. */
export async function createToken(config: Config, options: Options): Promise<number> {
  if (options['role'] === undefined)
    throw new UsageError('--role is missing: say what the token may do: viewer, analyst, approver or engineer.');
  const { name, roles, merchants } = personOf(options);
  const secret = newSecret();
  return withDatabase(config, async (database) => {
    // --as says whose token it is: who makes it is the user of this machine.
    const token = await onOneConnection(database, (db) =>
      inTransaction(db, async () => {
        const made = await insertToken(db, hashOf(secret), { name, role: roles[0]!, merchants });
        const after = { name, role: made.role, merchants };
        await recordAudit(db, actorOf({}), [{ what: 'token', subject: `token ${made.no} created`, after }]);
        return made;
      }),
    );
    process.stderr.write(`settlestream: token ${token.no}: keep it, it is not shown again\n`);
    await writeAll([options['json'] ? `${JSON.stringify({ ...tokenJson(token), token: secret })}\n` : `${secret}\n`]);
  });
}

/** Revokes a token: from now on it opens nothing. */
export async function endToken(config: Config, options: Options): Promise<number> {
  const no = numberIn('no', options)!;
  return withDatabase(config, async (database) => {
    await onOneConnection(database, (db) =>
      inTransaction(db, async () => {
        const before = no > MOST_NUMBER ? null : await revokeToken(db, no);
        if (before === null)
          throw new UsageError(`there is no valid token ${no}: see "settlestream console token list".`);
        const { name, role, merchants } = before;
        const event = { what: 'token', subject: `token ${no} revoked`, before: { name, role, merchants } } as const;
        await recordAudit(db, actorOf(options), [event]);
      }),
    );
    process.stderr.write(`settlestream: token ${no} is revoked\n`);
  });
}

const MOST_NUMBER = 2_147_483_647;

/** Lists all tokens, without what makes them work. */
export async function listTokens(config: Config, options: Options): Promise<number> {
  return withDatabase(config, async ({ db }) => {
    const tokens = await tokensOf(db);
    await writeAll([
      options['json'] ? `${JSON.stringify({ tokens: tokens.map(tokenJson) })}\n` : `${tokenTable(tokens)}\n`,
    ]);
  });
}

const tokenJson = ({ no, name, role, merchants, createdAt, revokedAt }: Token) => ({
  no,
  name,
  role,
  merchants,
  createdAt,
  revokedAt,
});

const tokenTable = (tokens: readonly Token[]): string =>
  table(
    ['no', 'name', 'role', 'merchants', 'created', 'revoked'],
    tokens.map(({ no, name, role, merchants, createdAt, revokedAt }) => [
      ...[String(no), name, role, merchants?.join(', ') ?? 'all'],
      ...[createdAt.toISOString(), revokedAt?.toISOString() ?? null],
    ]),
    [0],
  );
