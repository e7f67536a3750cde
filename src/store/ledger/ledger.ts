import { sql } from 'kysely';
import { type Database, type Db, onOneConnection } from '../../adapters/postgres/connection.ts';
import { inTransaction } from '../../adapters/postgres/transactions.ts';
import { UsageError } from '../../domain/errors.ts';
import { definitionOf, importedFunctions, type LedgerFunctions, relationFunctions } from './functions.ts';
import { findRelation, type LedgerSettings, quoteName, type Relation, wrongCondition } from './relation.ts';

/** Which records the book compares with. */
export type LedgerInUse = {
  /** For people: shop.payments where provider = 'x'. */
  readonly described: string;
  /** They are those of `ledger import`. */
  readonly isImported: boolean;
};

/**
 * Has the book read the records from where the settings say, and returns where that is. Where they say nothing it stays as it is,
 * so that a call with other settings takes no merchant's records away from a service that runs. Nothing is done where it is so already.
 * @throws UsageError with a line for each setting that is wrong.
 */
export async function useLedger(
  { pool }: Pick<Database, 'pool'>,
  settings: LedgerSettings | undefined,
): Promise<LedgerInUse> {
  return onOneConnection({ pool }, async (db) => {
    if (settings) await use(db, await ledgerOf(db, settings));
    const ledger = await ledgerInUse(db);
    // What was there when it was made may be gone by now.
    await sql`select from ledger() limit 0`.execute(db).catch((error: Error) => {
      throw new UsageError(
        `the records cannot be read from ${ledger.described}, as configured: ${error.message}. Correct it there, or in ledger of the settings.`,
      );
    });
    return ledger;
  });
}

export const ledgerInUse = (db: Db): Promise<LedgerInUse> =>
  db.selectFrom('ledger_setting').select(['described', 'is_imported as isImported']).executeTakeFirstOrThrow();

/** A ledger as it would be: its functions, and what they read. */
export type Ledger = LedgerInUse & {
  readonly functions: LedgerFunctions;
  readonly hasUpdatedAt: boolean;
  /** Null: the imported records. */
  readonly relation: Relation | null;
};

/**
 * What the settings mean in this database. `db` is one connection, outside of a transaction.
 * @throws UsageError with a line for each setting that is wrong.
 */
export async function ledgerOf(db: Db, settings: LedgerSettings): Promise<Ledger> {
  const { where } = settings;
  const mistakes: string[] = [];
  const relation = settings.relation ? await findRelation(db, settings, mistakes) : null;
  if (where !== undefined && (relation || !settings.relation)) {
    const wrong = await wrongCondition(db, relation?.quoted ?? quoteName('record'), where);
    if (wrong) mistakes.push(`${settings.begin(['where'])}${wrong}`);
  }
  if (mistakes.length > 0) throw new UsageError(mistakes.join('\n'));
  const name = relation?.shown ?? 'the imported records';
  return {
    described: where === undefined ? name : `${name} where ${where.trim()}`,
    isImported: relation === null,
    functions: relation ? relationFunctions(relation, settings) : importedFunctions(where),
    hasUpdatedAt: relation?.columns.updatedAt !== undefined,
    relation,
  };
}

async function use(db: Db, ledger: Ledger): Promise<void> {
  const definition = definitionOf(ledger.functions);
  const isTrue = async () => {
    const known = await db.selectFrom('ledger_setting').select('definition').executeTakeFirstOrThrow();
    return (known.definition || definitionOf(importedFunctions(undefined))) === definition;
  };
  if (await isTrue()) return;
  await inTransaction(db, async () => {
    await sql`select pg_advisory_xact_lock(7355625)`.execute(db);
    if (await isTrue()) return;
    await sql.raw(definition).execute(db);
    await sql`truncate seen_change`.execute(db);
    const { described, isImported, hasUpdatedAt } = ledger;
    await db
      .updateTable('ledger_setting')
      .set({ definition, described, is_imported: isImported, has_updated_at: hasUpdatedAt, since: sql`now()` })
      .set({ checked_no: 0n, next_check_at: null, changed_until: sql`now()` })
      .execute();
  });
}

/**
 * The merchants that the records name, where no report names one: so many that it is known whether they are several. None where
 * they say nothing.
 */
export async function merchantsOf(db: Db, settings: LedgerSettings): Promise<string[]> {
  const named = await db.selectFrom('merchant').select('no').where('placeholder', '=', false).limit(1).execute();
  if (named.length > 0 || !settings.relation) return [];
  const relation = await findRelation(db, settings, []);
  const column = relation?.columns.merchantId;
  if (!column) return [];
  const id = sql.raw(`btrim(${quoteName(column.name)}::text)`);
  const found = await sql<{ id: string }>`
    select distinct ${id} collate "C" as id from ${sql.raw(relation.quoted)} where ${id} <> '' order by 1 limit 100`.execute(
    db,
  );
  return found.rows.map((row) => row.id);
}
