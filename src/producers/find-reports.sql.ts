import { sql } from 'kysely';
import type { ListedFile } from '../adapters/folder.ts';
import type { Db } from '../adapters/postgres.ts';
import { UsageError } from '../domain/errors.ts';
import type { ReportKind } from '../domain/formats/format.ts';

/** Which of these files are known just as they are, by path. */
export async function knownDeliveries(
  db: Db,
  source: string,
  files: readonly ListedFile[],
): Promise<Map<string, number>> {
  const found = await sql<{ path: string; no: number }>`
    select d.path, d.no from delivery d
      join unnest(${files.map((file) => file.path)}::text[], ${files.map((file) => file.sizeBytes)}::bigint[],
                  ${files.map((file) => file.modifiedAtMicros)}::bigint[]) as f(path, size_bytes, modified_at_micros)
        on d.path = f.path and d.size_bytes = f.size_bytes
       and d.modified_at = timestamptz 'epoch' + f.modified_at_micros * interval '1 microsecond'
     where d.source = ${source}`.execute(db);
  return new Map(found.rows.map((row) => [row.path, row.no]));
}

/**
 * The merchant with this id. Without an id it is the only merchant there is: one that is made for the purpose and takes the
 * name of the first merchant that is named.
 * @throws UsageError when no id is given and there are several merchants.
 */
export async function merchantNamed(db: Db, id: string | null): Promise<number> {
  await sql`select pg_advisory_xact_lock(7355611)`.execute(db);
  const { rows: known } = await sql<{
    no: number;
    id: string;
    placeholder: boolean;
  }>`select no, id, placeholder from merchant order by no`.execute(db);
  const found =
    id === null ? (known.length === 1 ? known[0] : undefined) : known.find((merchant) => merchant.id === id);
  if (found) return found.no;
  if (id === null && known.length > 1) {
    throw new UsageError(
      'there are several merchants, and nothing says which one this belongs to: name it with --merchant ID.',
    );
  }
  const placeholder = known.find((merchant) => merchant.placeholder);
  if (id !== null && placeholder) {
    await sql`update merchant set id = ${id}, placeholder = false where no = ${placeholder.no}`.execute(db);
    return placeholder.no;
  }
  const made = await sql<{ no: number }>`
    insert into merchant (id, placeholder) values (${id ?? 'default'}, ${id === null}) returning no`.execute(db);
  return made.rows[0]!.no;
}

export async function batchNamed(
  db: Db,
  batch: { merchantNo: number; batchId: string | null; currency: string | null; day: string | null },
): Promise<number> {
  const made = await sql<{ no: number }>`
    insert into batch (merchant_no, batch_id, currency, day) values (${batch.merchantNo}, ${batch.batchId}, ${batch.currency}, ${batch.day})
    on conflict (merchant_no, batch_id, currency, day) do update set merchant_no = excluded.merchant_no returning no`.execute(
    db,
  );
  return made.rows[0]!.no;
}

export async function reportNamed(
  db: Db,
  report: { batchNo: number; kind: ReportKind; name: string; psp: string | null; seq: number },
): Promise<number> {
  const made = await sql<{ no: number }>`
    insert into report (batch_no, kind, name, psp, seq) values (${report.batchNo}, ${report.kind}, ${report.name}, ${report.psp}, ${report.seq})
    on conflict (batch_no, kind, name) do update set seq = excluded.seq returning no`.execute(db);
  return made.rows[0]!.no;
}

export async function recordDelivery(
  db: Db,
  delivery: {
    reportNo: number;
    source: string;
    file: ListedFile;
    directoryDate: string | null;
    rules: { format: string; amountUnit: string; tolerance: string; timeZone: string };
  },
): Promise<number> {
  const { file } = delivery;
  const made = await sql<{ no: number }>`
    insert into delivery (report_no, source, rules, path, file, directory_date, size_bytes, modified_at)
    values (${delivery.reportNo}, ${delivery.source}, ${JSON.stringify(delivery.rules)}::jsonb, ${file.path}, ${file.file},
            ${delivery.directoryDate}, ${file.sizeBytes},
            timestamptz 'epoch' + ${file.modifiedAtMicros}::bigint * interval '1 microsecond')
    on conflict (source, path, size_bytes, modified_at) do update set file = excluded.file returning no`.execute(db);
  return made.rows[0]!.no;
}
