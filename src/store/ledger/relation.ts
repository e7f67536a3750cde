import { sql } from 'kysely';
import type { Db } from '../../adapters/postgres/connection.ts';
import { inTransaction } from '../../adapters/postgres/transactions.ts';

/** Where the merchant's records stand, as the settings say it. */
export type LedgerSettings = {
  /** Null or undefined: the imported records. */
  readonly relation?: { readonly schema: string | null; readonly name: string } | null | undefined;
  readonly columns: { readonly [field in Field]?: string | undefined };
  readonly where?: string | undefined;
  readonly timeZone?: string | undefined;
  /** Whose records those are that name no merchant; undefined: the only merchant's. */
  readonly merchant: string | undefined;
  /** How a line about one of these settings begins. */
  begin(path: readonly string[]): string;
};

export const FIELDS = [
  'requestId',
  'type',
  'amount',
  'amountMinor',
  'currency',
  'status',
  'occurredAt',
  'merchantId',
  'orderId',
  'originalRequestId',
  'source',
  'updatedAt',
] as const;
export type Field = (typeof FIELDS)[number];
const NEEDED: readonly Field[] = ['requestId', 'type', 'currency', 'status', 'occurredAt'];
/** In place of a column: there is none, though one is called so. */
const NONE = 'none';

/** A column of the merchant's relation. */
export type Column = {
  readonly name: string;
  /** As SQL writes it, of the column itself: what a function that returns it must declare. */
  readonly type: string;
  /** What the type is made of: `int8`, `text`. */
  readonly base: string;
  readonly collation: string | null;
  readonly isDeterministic: boolean;
};

/** The relation as it is: its name in quotes, and which of its columns holds what. */
export type Relation = {
  readonly oid: bigint;
  readonly quoted: string;
  readonly shown: string;
  readonly columns: { readonly [field in Field]?: Column | undefined };
};

const WHOLE = ['int2', 'int4', 'int8'];
const IDS = { bases: [...WHOLE, 'numeric', 'uuid'], categories: ['S'], what: 'a text, a number or a uuid' };
const WORDS = { bases: [], categories: ['S', 'E'], what: 'a text or an enum' };
const AMOUNTS = {
  bases: [...WHOLE, 'numeric'],
  categories: [],
  what: 'numeric or an integer: other types may round cents or mean something else; make a view that casts it',
};
const TIMES = { bases: ['timestamptz', 'timestamp'], categories: [], what: 'timestamp with time zone' };
const ALLOWED: Readonly<Record<Field, { bases: readonly string[]; categories: readonly string[]; what: string }>> = {
  requestId: IDS,
  type: WORDS,
  amount: AMOUNTS,
  amountMinor: AMOUNTS,
  currency: WORDS,
  status: WORDS,
  occurredAt: TIMES,
  merchantId: IDS,
  orderId: IDS,
  originalRequestId: IDS,
  source: WORDS,
  updatedAt: TIMES,
};

export const quoteName = (name: string): string => `"${name.replaceAll('"', '""')}"`;

type CatalogColumn = Column & { readonly category: string; readonly isReadable: boolean };

/**
 * Finds the relation and its columns. What is wrong is added to `mistakes`, a line each, all of it; the columns that are
 * right are returned all the same. Null: there is no such relation.
 */
export async function findRelation(db: Db, settings: LedgerSettings, mistakes: string[]): Promise<Relation | null> {
  const { schema, name } = settings.relation!;
  const written = schema === null ? quoteName(name) : `${quoteName(schema)}.${quoteName(name)}`;
  const begin = settings.begin(['relation']);
  const found = await sql<{ oid: bigint; schema: string; kind: string }>`
    select c.oid::int8 as oid, n.nspname as schema, c.relkind as kind
      from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = to_regclass(${written})`
    .execute(db)
    .catch((error: Error) => error);
  if (found instanceof Error) {
    mistakes.push(`${begin}cannot be read: ${found.message}`);
    return null;
  }
  const [relation] = found.rows;
  if (!relation) {
    mistakes.push(`${begin}is not a table or view of this database${await similar(db, name)}`);
    return null;
  }
  if (!['r', 'p', 'v', 'm', 'f'].includes(relation.kind)) {
    mistakes.push(`${begin}is neither a table nor a view`);
    return null;
  }
  const catalog = await catalogColumns(db, relation.oid);
  const columns: { [field in Field]?: Column } = {};
  for (const field of FIELDS) {
    const column = columnOf(field, settings, catalog, mistakes);
    if (column) columns[field] = column;
  }
  tellMissing(settings, columns, mistakes);
  return {
    oid: relation.oid,
    quoted: `${quoteName(relation.schema)}.${quoteName(name)}`,
    shown: `${relation.schema}.${name}`,
    columns,
  };
}

/** Tables and views that are called nearly so. */
async function similar(db: Db, name: string): Promise<string> {
  const found = await sql<{ name: string }>`
    select n.nspname || '.' || c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_'
       and lower(c.relname) = lower(${name}) order by 1 limit 3`.execute(db);
  const names = found.rows.map((row) => row.name);
  return names.length === 0 ? '' : `; similar: ${names.join(' and ')}`;
}

async function catalogColumns(db: Db, oid: bigint): Promise<Map<string, CatalogColumn>> {
  const found = await sql<CatalogColumn>`
    with recursive base as (
      select a.attnum, a.atttypid as type from pg_attribute a where a.attrelid = ${oid}::int8::oid and a.attnum > 0 and not a.attisdropped
      union all
      select b.attnum, t.typbasetype from base b join pg_type t on t.oid = b.type where t.typtype = 'd')
    select a.attname as name, format_type(a.atttypid, null) as type, t.typname as base, t.typcategory as category,
           case when a.attcollation <> 0 then (select quote_ident(n.nspname) || '.' || quote_ident(c.collname)
                                                 from pg_collation c join pg_namespace n on n.oid = c.collnamespace where c.oid = a.attcollation) end as collation,
           coalesce((select c.collisdeterministic from pg_collation c where c.oid = a.attcollation), true) as "isDeterministic",
           has_column_privilege(a.attrelid, a.attnum, 'select') as "isReadable"
      from pg_attribute a join base b on b.attnum = a.attnum join pg_type t on t.oid = b.type and t.typtype <> 'd'
     where a.attrelid = ${oid}::int8::oid order by a.attnum`.execute(db);
  return new Map(found.rows.map((column) => [column.name, column]));
}

/** The column that is named for a field, else one that is called as the field is, in either way of writing it. */
function columnOf(
  field: Field,
  settings: LedgerSettings,
  catalog: ReadonlyMap<string, CatalogColumn>,
  mistakes: string[],
): Column | undefined {
  const named = settings.columns[field];
  if (named === NONE) return undefined;
  const column =
    named === undefined
      ? // Looking for changes has a price, so it is asked for.
        field === 'updatedAt'
        ? undefined
        : [field, snake(field), field.toLowerCase()]
            .map((name) => catalog.get(name))
            .find((found) => found !== undefined)
      : catalog.get(named);
  // Without a name there is nothing to be wrong, but for a column that is needed.
  const begin =
    named === undefined ? `${settings.begin(['relation'])}column ${column?.name} ` : settings.begin(['columns', field]);
  if (!column) {
    if (named !== undefined) mistakes.push(`${begin}is not a column of it; columns: ${[...catalog.keys()].join(', ')}`);
    return undefined;
  }
  const allowed = ALLOWED[field];
  if (!allowed.bases.includes(column.base) && !allowed.categories.includes(column.category))
    mistakes.push(`${begin}is ${column.type}, and must be ${allowed.what}`);
  else if (column.base === 'timestamp' && settings.timeZone === undefined)
    mistakes.push(`${begin}is ${column.type}, which has no time zone: set ledger.timeZone, such as UTC`);
  if (!column.isReadable) mistakes.push(`${begin}may not be read by this user: grant select on it`);
  return column;
}

function tellMissing(settings: LedgerSettings, columns: { [field in Field]?: Column }, mistakes: string[]): void {
  const begin = settings.begin(['relation']);
  const isGiven = (field: Field) => columns[field] !== undefined || settings.columns[field] !== undefined;
  for (const field of NEEDED) {
    if (!isGiven(field))
      mistakes.push(
        `${begin}has no column called ${[...new Set([field, snake(field)])].join(' or ')}: name it under ledger.columns`,
      );
  }
  if (!isGiven('amount') && !isGiven('amountMinor'))
    mistakes.push(`${begin}has no column called amount, amountMinor or amount_minor: name it under ledger.columns`);
  if (columns.amount && columns.amountMinor) {
    if (settings.columns.amount === undefined && settings.columns.amountMinor === undefined)
      mistakes.push(
        `${begin}has both ${columns.amount.name} and ${columns.amountMinor.name}: name the one that counts under ledger.columns`,
      );
    else if (settings.columns.amount === undefined) delete columns.amount;
    else delete columns.amountMinor;
  }
}

const snake = (field: string): string => field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/**
 * What is wrong with a condition, in the database's words; null when it is one boolean expression. It is planned inside two
 * statements of different shape, and never run: text that closes the one's bracket does not close the other's.
 */
export async function wrongCondition(db: Db, from: string, where: string): Promise<string | null> {
  const statements = [
    sql`select from ${sql.raw(from)} where ${true}::boolean and (${sql.raw(`${where}\n`)}) limit 0`,
    sql`select array[${true}::boolean, (${sql.raw(`${where}\n`)})] from ${sql.raw(from)} limit 0`,
  ];
  for (const statement of statements) {
    try {
      // A parameter makes the server refuse several statements in one.
      await inTransaction(db, async () => {
        await sql`set transaction read only`.execute(db);
        await statement.execute(db);
      });
    } catch (error) {
      const { message, hint } = error as { message: string; hint?: string };
      return `the database says: ${message}${hint ? ` (${hint})` : ''}`;
    }
  }
  return null;
}
