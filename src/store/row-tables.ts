import { sql } from 'kysely';
import type { Db } from '../adapters/postgres/connection.ts';
import type { ReportKind } from '../domain/formats/format.ts';

/** The table that a load's rows go to: one of its own for a large load, which costs a fifth of a shared, indexed one. */
export const tableOf = (slot: number): string => (slot > 0 ? `report_row_${slot}` : `report_row_m${-slot}`);

/**
 * Makes the table of a slot. A load's own stands alone until it is closed, so that loading it disturbs nobody; a month's is
 * indexed and part of all rows from the start.
 */
export async function createRowTable(db: Db, slot: number): Promise<void> {
  const table = tableOf(slot);
  if (slot < 0) await sql`select pg_advisory_xact_lock(7355610)`.execute(db);
  const known = await sql<{ name: string | null }>`select to_regclass(${table})::text as name`.execute(db);
  if (known.rows[0]!.name !== null) return;
  // A load is written once and analysed when it is closed. Autovacuum would come in between, and attaching would wait for it.
  const storage = slot > 0 ? sql`with (autovacuum_enabled = false)` : sql``;
  await sql`create table ${sql.ref(table)} (like report_row including defaults, check (slot = ${sql.raw(String(slot))}))
    ${storage}`.execute(db);
  await sql`alter table ${sql.ref(table)} alter column slot set default ${sql.raw(String(slot))}`.execute(db);
  if (slot > 0) return;
  await indexRowTable(db, slot);
  await attachRowTable(db, slot);
}

/** Makes the table part of all rows. Readers go on meanwhile: nothing is checked again, and no other partition is locked. */
export async function attachRowTable(db: Db, slot: number): Promise<void> {
  const attached = await sql`select from pg_inherits where inhrelid = ${tableOf(slot)}::regclass`.execute(db);
  if (attached.rows.length > 0) return;
  await sql`alter table report_row attach partition ${sql.ref(tableOf(slot))} for values in (${sql.raw(String(slot))})`.execute(
    db,
  );
}

/** By key. Built after loading: kept up during it they would cost four times as much. */
export async function indexRowTable(db: Db, slot: number): Promise<void> {
  const table = tableOf(slot);
  await sql`create index if not exists ${sql.ref(`${table}_key`)} on ${sql.ref(table)} (key_hash)`.execute(db);
  await sql`analyze ${sql.ref(table)}`.execute(db);
}

/** Its rows stand in a table of their own. */
export const hasOwnTable = ({ slot, kind }: { readonly slot: number; readonly kind: ReportKind }): boolean =>
  slot > 0 && kind !== 'settlementSummary';
