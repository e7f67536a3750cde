import { type RawBuilder, type Selectable, sql } from 'kysely';
import type { Schema } from './schema.ts';

type Table = keyof Schema & string;
type TableIn<From extends string> = From extends `${infer T} as ${string}` ? T & Table : From & Table;
type ColumnIn<From extends string> = keyof Schema[TableIn<From>] & string;
type Camel<S extends string> = S extends `${infer Head}_${infer Tail}` ? `${Head}${Capitalize<Camel<Tail>>}` : S;

type ColumnOf<Name extends string> = Name extends `${infer C} as ${string}` ? C : Name;
type KeyOf<Name extends string> = Name extends `${string} as ${infer Key}` ? Key : Camel<Name>;
type RowIn<From extends string, Name extends string> = {
  [N in Name as KeyOf<N>]: Selectable<Schema[TableIn<From>]>[ColumnOf<N> & keyof Selectable<Schema[TableIn<From>]>];
};

/** The row of a select list that `columns` made. */
export type RowOf<List> = List extends RawBuilder<infer Row> ? Row : never;

/**
 * Columns of a table for the select list of a template, in camelCase or under a name of their own, with the type of their row:
 * `columns('batch as b', ['merchant_no', 'no as batchNo'])` is `b.merchant_no as "merchantNo", b.no as "batchNo"`.
 */
export function columns<
  const From extends Table | `${Table} as ${string}`,
  const Name extends ColumnIn<From> | `${ColumnIn<From>} as ${string}`,
>(from: From, names: readonly Name[]): RawBuilder<RowIn<From, Name>> {
  const table = from.split(' as ').at(-1)!;
  return sql`${sql.join(
    names.map((name) => {
      const [column = name, key = camel(column)] = name.split(' as ');
      const ref = sql.ref(`${table}.${column}`);
      return key === column ? ref : sql`${ref} as ${sql.id(key)}`;
    }),
  )}`;
}

const camel = (name: string): string => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());

/** One of these numbers, whatever they are of: `where('no', '=', anyOf(nos))`. A list of values would have no end, or be empty. */
export const anyOf = (nos: readonly number[]): RawBuilder<number> => sql`any(${[...nos]}::int[])`;
