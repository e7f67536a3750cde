import { sql } from 'kysely';
import type { Db } from '../adapters/postgres/connection.ts';
import type { Person, Role } from '../domain/roles.ts';

/** A token as it may be listed: its secret is not known any more. */
export type Token = {
  readonly no: number;
  readonly name: string;
  readonly role: Role;
  readonly merchants: readonly string[] | null;
  readonly createdAt: Date;
  readonly revokedAt: Date | null;
};

const TOKEN = sql`no, name, role, merchants, created_at as "createdAt", revoked_at as "revokedAt"`;

/** Of a token only its hash is stored. */
export async function insertToken(
  db: Db,
  hash: string,
  { name, role, merchants }: Pick<Token, 'name' | 'role' | 'merchants'>,
): Promise<Token> {
  const made = await sql<Token>`
    insert into api_token (hash, name, role, merchants)
    values (${hash}, ${name}, ${role}, ${merchants === null ? null : [...merchants]}::text[]) returning ${TOKEN}`.execute(
    db,
  );
  return made.rows[0]!;
}

/** Who comes with a token; null where there is no such token, or it was revoked. */
export async function bearerOf(db: Db, hash: string): Promise<(Person & { readonly tokenNo: number }) | null> {
  const found = await sql<Token>`select ${TOKEN} from api_token where hash = ${hash} and revoked_at is null`.execute(
    db,
  );
  const [token] = found.rows;
  return token === undefined
    ? null
    : { name: token.name, roles: [token.role], merchants: token.merchants, tokenNo: token.no };
}

/** Revokes a token; null where no valid one has this number. */
export async function revokeToken(db: Db, no: number): Promise<Token | null> {
  const revoked = await sql<Token>`
    update api_token set revoked_at = now() where no = ${no} and revoked_at is null returning ${TOKEN}`.execute(db);
  return revoked.rows[0] ?? null;
}

export async function tokensOf(db: Db): Promise<readonly Token[]> {
  return (await sql<Token>`select ${TOKEN} from api_token order by no`.execute(db)).rows;
}
