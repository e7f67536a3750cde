import { sql } from 'kysely';
import type { Db } from '../../adapters/postgres/connection.ts';
import type { EntryStatus } from '../../domain/bank/statement.ts';
import type { Currency } from '../../domain/money/currency.ts';
import { IS_READ } from '../../store/bank/files.ts';

export type EntryFilter = {
  readonly account?: string | undefined;
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  /** Only booked ones that pay nothing. */
  readonly isOpen?: boolean;
  /** Only those that pay batches of these merchants and of no others; null or left out: all. */
  readonly merchants?: readonly string[] | null;
  /** Those that follow this one. */
  readonly after?: EntryPlace | undefined;
  readonly limit?: number | undefined;
};

/** Where an entry stands: its file and its place in it. */
export type EntryPlace = { readonly fileNo: number; readonly ordinal: number };

export type EntryView = {
  fileNo: number;
  ordinal: number;
  /** The same in whatever file it stands. */
  id: string;
  file: string;
  line: number;
  account: string;
  currency: Currency;
  statement: string | null;
  bookingDate: string | null;
  valueDate: string | null;
  amountMinor: bigint;
  chargesMinor: bigint | null;
  status: EntryStatus;
  reference: string | null;
  counterparty: string | null;
  pays: { settlementBatchId: string; merchantId: string; matchedBy: string; role: 'paid' | 'surplus' | 'returned' }[];
};

/** Entries of statements that count, each with its place among those that say the same. Interim ones only where no final statement has them. */
const COUNTED = sql`
  select e.*, s.account, s.currency, s.number, f.file, coalesce(e.booking_date, s.to_day) as booked_on,
         row_number() over (partition by s.account, e.entry_key order by s.is_final desc, e.file_no, e.ordinal) as times
    from bank_entry e join bank_statement s on s.file_no = e.file_no and s.ordinal = e.statement join bank_file f on f.no = e.file_no
   where ${IS_READ} and s.state = 'counts' and s.error_code is null
     and (s.is_final or not exists (
       select from bank_statement x
        where x.error_code is null and x.state = 'counts' and x.is_final and x.account = s.account and x.currency = s.currency
          and coalesce(e.booking_date, s.to_day) between coalesce(x.from_day, x.to_day) and x.to_day))`;

const ID = sql`lpad(to_hex(c.entry_key), 16, '0') || case when c.times > 1 then '-' || c.times else '' end`;

/** In which entries come; those without a date first. */
const ORDER = sql`coalesce(c.booked_on, '-infinity'), c.account collate "C", c.file collate "C", c.line, c.file_no, c.ordinal`;

/** Entries by booking date, account, file and line, with what they pay. */
export const entries = ({ account, from, to, isOpen = false, merchants = null, after, limit }: EntryFilter) => sql`
  select c.file_no as "fileNo", c.ordinal, ${ID} as id, c.file, c.line, c.account, c.currency, c.number as statement, c.booked_on as "bookingDate", c.value_date as "valueDate",
         c.amount_minor as "amountMinor", c.charges_minor as "chargesMinor", c.status, c.reference, c.counterparty_name as counterparty,
         coalesce(p.pays, '[]') as pays
    from (${COUNTED}) c
    left join lateral (
      select jsonb_agg(jsonb_build_object('settlementBatchId', b.batch_id, 'merchantId', m.id, 'matchedBy', o.matched_by, 'role', q.role)
                       order by b.batch_id, m.id) as pays,
             bool_and(${merchants === null ? sql`true` : sql`m.id = any(${[...merchants]}::text[])`}) as is_seen
        from payout_entry q join batch b on b.no = q.batch_no join merchant m on m.no = b.merchant_no join payout o on o.batch_no = b.no
       where q.file_no = c.file_no and q.ordinal = c.ordinal) p on true
   where ${account === undefined ? sql`true` : sql`c.account = ${account}`}
     and ${from === undefined ? sql`true` : sql`c.booked_on >= ${from}::date`}
     and ${to === undefined ? sql`true` : sql`c.booked_on <= ${to}::date`}
     and (not ${isOpen} or c.status = 'booked' and p.pays is null)
     and ${merchants === null ? sql`true` : sql`coalesce(p.is_seen, false)`}
     and ${after === undefined ? sql`true` : sql`(${ORDER}) > (select ${ORDER} from (${COUNTED}) c where c.file_no = ${after.fileNo} and c.ordinal = ${after.ordinal})`}
   order by ${ORDER} limit ${limit ?? null}::bigint`;

/** The entries that an id names: one, or those of several accounts. */
export async function entriesNamed(db: Db, id: string) {
  const [, hex = '', times = '1'] = /^([0-9a-f]{16})(?:-(\d{1,9}))?$/.exec(id) ?? [];
  if (hex === '') return [];
  const entryKey = BigInt.asIntN(64, BigInt(`0x${hex}`));
  const found = await sql<{ account: string; currency: Currency; status: EntryStatus; file: string; line: number }>`
    select c.account, c.currency, c.status, c.file, c.line from (${COUNTED}) c
     where c.entry_key = ${entryKey} and c.times = ${Number(times)}`.execute(db);
  return found.rows.map((row) => ({ ...row, entryKey, ordinal: Number(times) }));
}
