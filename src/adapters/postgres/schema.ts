// Made by `npm run schema` from the migrations.

import type { ColumnType } from 'kysely';
import type { CsvStatementFormat } from '../../domain/bank/csv-format.ts';
import type { MatchedBy } from '../../domain/bank/match-payouts.ts';
import type { PayoutState } from '../../domain/bank/payouts.ts';
import type { AccountOwner, BankCalendars } from '../../domain/bank/settings.ts';
import type { EntryStatus, StatementFormat } from '../../domain/bank/statement.ts';
import type { Kind } from '../../domain/discrepancy.ts';
import type { Format, ReportKind } from '../../domain/formats/format.ts';
import type { AcceptReason, HandlingState, HandlingStep } from '../../domain/handling.ts';
import type { RunCoverage } from '../../domain/matching/coverage.ts';
import type { CumulativeTotal } from '../../domain/matching/cumulative.ts';
import type { RunFacts } from '../../domain/matching/run.ts';
import type { Currency } from '../../domain/money/currency.ts';
import type { Facts } from '../../domain/report/facts.ts';
import type { Rules } from '../../domain/report/rules.ts';

export type ArrayType<T> = ArrayTypeImpl<T> extends (infer U)[]
  ? U[]
  : ArrayTypeImpl<T>;

export type ArrayTypeImpl<T> = T extends ColumnType<infer S, infer I, infer U>
  ? ColumnType<S[], I[], U[]>
  : T[];

export type Generated<T> = T extends ColumnType<infer S, infer I, infer U>
  ? ColumnType<S, I | undefined, U>
  : ColumnType<T, T | undefined, T>;

export type Json = JsonValue;

export type JsonArray = JsonValue[];

export type JsonObject = {
  [x: string]: JsonValue | undefined;
};

export type JsonPrimitive = boolean | number | string | null;

export type JsonValue = JsonArray | JsonObject | JsonPrimitive;

export type Numeric = ColumnType<string, number | string, number | string>;

export type Timestamp = ColumnType<Date, Date | string, Date | string>;

export interface ApiRequestTable {
  answer: string | null;
  at: Generated<Timestamp>;
  hash: string;
  key: string;
  status: number | null;
  token_no: number;
}

export interface ApiTokenTable {
  created_at: Generated<Timestamp>;
  hash: string;
  merchants: string[] | null;
  name: string;
  no: Generated<number>;
  revoked_at: Timestamp | null;
  role: string;
}

export interface AuditEventTable {
  after: Json | null;
  at: Timestamp;
  before: Json | null;
  hash: string;
  no: bigint;
  previous_hash: string;
  reason: string | null;
  subject: string;
  via: string;
  what: string;
  who: string;
}

export interface AuditHeadTable {
  hash: Generated<string>;
  is_only: Generated<boolean>;
  no: Generated<bigint>;
}

export interface AwayTable {
  failed_at: Generated<Timestamp>;
  is_seen: Generated<boolean>;
  is_told: Generated<boolean>;
  needs_bytes: bigint | null;
  next_try_at: Timestamp;
  reason: string;
  since: Generated<Timestamp>;
  tries: Generated<number>;
  what: 'archive' | `source ${string}`;
}

export interface AwayProbeTable {
  no: number | null;
}

export interface BankChangeTable {
  no: Generated<bigint>;
  why: 'run' | 'statement' | 'setting' | 'person' | 'time';
}

export interface BankConfirmationTable {
  account: string;
  batch_no: number;
  ended_by: number | null;
  entry_key: bigint;
  intervention_no: number;
  no: Generated<number>;
  ordinal: number;
}

export interface BankEntryTable {
  amount_minor: bigint;
  booking_date: string | null;
  charges_minor: bigint | null;
  counterparty_account: string | null;
  counterparty_name: string | null;
  entry_key: bigint;
  file_no: number;
  is_reversal: boolean;
  line: number;
  ordinal: number;
  reference: string | null;
  statement: number;
  status: EntryStatus;
  texts: string;
  value_date: string | null;
}

export interface BankFileTable {
  archived: string | null;
  attempts: Generated<number>;
  entry: string | null;
  epoch: Generated<number>;
  error_code: string | null;
  error_message: string | null;
  file: string;
  format: StatementFormat | null;
  found_at: Generated<Timestamp>;
  intervention_no: number | null;
  modified_at: Timestamp;
  next_attempt_at: Timestamp | null;
  no: Generated<number>;
  parked_reason: string | null;
  path: string;
  read_at: Timestamp | null;
  sha256: string | null;
  size_bytes: bigint;
  source: string;
  state: Generated<'found' | 'read' | 'refused' | 'withdrawn'>;
  withdrawn_reason: string | null;
}

export interface BankMatchingTable {
  attempts: Generated<number>;
  is_only: Generated<boolean>;
  matched_day: string | null;
  next_attempt_at: Timestamp | null;
  parked_reason: string | null;
}

export interface BankSettingTable {
  accounts: AccountOwner[] | null;
  calendars: BankCalendars;
  formats: CsvStatementFormat[];
  is_only: Generated<boolean>;
  payers: string[];
  payout_days: number;
}

export interface BankStatementTable {
  account: string | null;
  booked_minor: Numeric;
  closing_minor: bigint | null;
  currency: Currency | null;
  digest: string | null;
  entry_count: number;
  error_code: string | null;
  error_message: string | null;
  file_no: number;
  from_day: string | null;
  is_final: boolean;
  line: number;
  number: string | null;
  opening_minor: bigint | null;
  ordinal: number;
  refused_count: number;
  refused_line: number | null;
  refused_why: string | null;
  state: Generated<'counts' | 'duplicate' | 'replaced' | 'refused'>;
  to_day: string | null;
}

export interface BatchTable {
  acquirer: string | null;
  attempts: Generated<number>;
  batch_id: string | null;
  currency: Currency | null;
  current_run: number | null;
  day: string | null;
  done: Generated<number>;
  epoch: Generated<number>;
  merchant_no: number;
  next_attempt_at: Timestamp | null;
  no: Generated<number>;
  parked_reason: string | null;
  settlement_date: string | null;
  waiting_until: Timestamp | null;
  wanted: Generated<number>;
}

export interface BatchStateTable {
  batch_no: number | null;
  residual_minor: Numeric | null;
  run_no: number | null;
  state: string | null;
}

export interface BookTable {
  id: Generated<string>;
}

export interface CheckedDayTable {
  day: string;
  duty: 'transactionDetails' | 'settlement';
  merchant_no: number;
  source: string;
}

export interface ChunkTable {
  attempts: Generated<number>;
  crc32: bigint;
  encoding: string;
  epoch: Generated<number>;
  facts: Facts | null;
  first_line: number;
  length_bytes: bigint;
  load_no: number;
  no: number;
  offset_bytes: bigint;
  state: Generated<'recorded' | 'loaded'>;
}

export interface ConsoleLoginTable {
  expires_at: Timestamp;
  hash: string;
  merchants: string[] | null;
  name: string;
  roles: string[];
  used_at: Timestamp | null;
}

export interface ConsoleSessionTable {
  expires_at: Timestamp;
  hash: string;
  merchants: string[] | null;
  name: string;
  revoked_at: Timestamp | null;
  roles: string[];
  started_at: Generated<Timestamp>;
}

export interface DeliveryTable {
  archived: string | null;
  archived_sha256: string | null;
  attempts: Generated<number>;
  directory_date: string | null;
  duplicate_of: number | null;
  entry: string | null;
  epoch: Generated<number>;
  error_code: string | null;
  error_message: string | null;
  file: string;
  found_at: Generated<Timestamp>;
  intervention_no: number | null;
  is_sheet: Generated<boolean>;
  modified_at: Timestamp;
  next_attempt_at: Timestamp | null;
  no: Generated<number>;
  parked_reason: string | null;
  path: string;
  replay_of: number | null;
  report_no: number;
  revision: number | null;
  rules: Rules;
  size_bytes: bigint;
  source: string;
  state: Generated<'found' | 'reading' | 'closed' | 'refused' | 'duplicate' | 'waiting' | 'withdrawn' | 'dry' | 'over'>;
  vanished_at: Timestamp | null;
  withdrawn_at: Timestamp | null;
  withdrawn_reason: string | null;
}

export interface DiscrepancyTable {
  bank_file_no: number | null;
  batch_no: number | null;
  closed_at: Timestamp | null;
  closed_run: number | null;
  currency: string | null;
  difference: string | null;
  field: string | null;
  first_seen_at: Timestamp;
  identity: string;
  is_cross_batch: Generated<boolean>;
  is_superseded: Generated<boolean>;
  kind: Kind;
  line: number | null;
  load_no: number | null;
  merchant_no: number | null;
  message: string;
  no: Generated<bigint>;
  of_matchable: boolean;
  opened_at: Timestamp;
  opened_run: number;
  ordinal: Generated<number>;
  other_batch_no: number | null;
  recorded: string | null;
  referenced_fingerprint: bigint | null;
  referenced_ids: string[] | null;
  reported: string | null;
  request_id: string | null;
  row_needs_record: boolean | null;
  row_settlement_minor: bigint | null;
  row_type: string | null;
  stake_currency: string | null;
  stake_minor: Numeric | null;
  transaction_id: string | null;
  type: string | null;
}

export interface DroppedTable {
  batch_no: number;
  dropped_at: Timestamp;
  gone_at: Timestamp | null;
  load_no: number | null;
  merchant_no: number;
  months: number;
  no: Generated<bigint>;
  path: string | null;
  restored_at: Timestamp | null;
  row_count: bigint | null;
  what: 'rows' | 'text' | 'file';
}

export interface DroppedIdsTable {
  ids: ArrayType<bigint>;
  load_no: number;
}

export interface FormatTable {
  format: Format;
  id: string;
}

export interface HandlingTable {
  action: HandlingStep;
  assigned_to: string | null;
  at: Timestamp;
  batch_no: number | null;
  by: string;
  decided_at: Timestamp;
  decided_by: string;
  discrepancy_no: bigint;
  due: string | null;
  ended_at: Timestamp | null;
  no: Generated<bigint>;
  reason: AcceptReason | null;
  said: string | null;
  state: HandlingState;
  text: string | null;
  thread: bigint;
  until: string | null;
  via: string;
}

export interface ImportedFileTable {
  record_count: number;
  sha256: Buffer;
  unnamed_merchant_no: number | null;
}

export interface InterventionTable {
  asked: string;
  asked_at: Generated<Timestamp>;
  kind: 'replay' | 'withdrawal' | 'bankMatch' | 'bankUnmatch';
  no: Generated<number>;
}

export interface LateDayTable {
  day: string;
  merchant_no: number;
}

export interface LedgerSettingTable {
  changed_until: Timestamp | null;
  checked_no: Generated<bigint>;
  definition: Generated<string>;
  described: Generated<string>;
  has_updated_at: Generated<boolean>;
  is_imported: Generated<boolean>;
  is_only: Generated<boolean>;
  next_check_at: Timestamp | null;
  since: Generated<Timestamp>;
}

export interface LoadTable {
  archive_path: string;
  chunks: number | null;
  closed_at: Timestamp | null;
  delivery_no: number;
  facts: Facts | null;
  format: string;
  header: string[];
  no: Generated<number>;
  original_path: string | null;
  report_no: number;
  rows_dropped_at: Timestamp | null;
  rules: Rules;
  series: string;
  settlement_currency: Currency | null;
  sha256: string | null;
  size_bytes: bigint;
  slot: number;
  state: Generated<'reading' | 'loaded' | 'closed' | 'abandoned' | 'deleted'>;
}

export interface MerchantTable {
  id: string;
  no: Generated<number>;
  placeholder: Generated<boolean>;
}

export interface MigrationTable {
  applied_at: Generated<Timestamp>;
  name: string;
  version: number;
}

export interface NamedRowTable {
  batch_no: number | null;
  row_needs_record: boolean | null;
  row_type: string | null;
  rows: bigint | null;
  settlement_minor: Numeric | null;
}

export interface PayoutTable {
  amount_minor: bigint | null;
  arrived_minor: bigint;
  batch_no: number;
  due_by: string | null;
  matched_by: MatchedBy | null;
  state: PayoutState;
}

export interface PayoutEntryTable {
  batch_no: number;
  file_no: number;
  ordinal: number;
  role: 'paid' | 'surplus' | 'returned';
}

export interface RecordTable {
  amount_minor: bigint;
  currency: string;
  key_hash: bigint;
  merchant_no: number;
  occurred_at: Timestamp;
  order_id: string | null;
  original_request_id: string | null;
  request_id: string;
  source: string | null;
  status: string;
  type: string;
}

export interface ReportTable {
  batch_no: number;
  is_currency_in_rows: Generated<boolean>;
  is_portal: Generated<boolean>;
  kind: ReportKind;
  load_no: number | null;
  name: string;
  no: Generated<number>;
  psp: string | null;
  revision: Generated<number>;
  seq: number;
}

export interface ReportRowTable {
  amount_minor: bigint | null;
  currency: string | null;
  fee_minor: bigint | null;
  /**
   * Bits 0-1: how it finds its record (0 none, 1 own, 2 original, 3 lost); bit 2: in instalments; bit 3: did not happen; from bit 4: in how many instalments.
   */
  flags: number;
  key_hash: bigint | null;
  length_bytes: number;
  line: number;
  load_no: number;
  offset_bytes: bigint;
  original_request_id: string | null;
  original_transaction_id: string | null;
  paid_at: Timestamp | null;
  request_id: string | null;
  settlement_minor: bigint | null;
  slot: number;
  transaction_id: string | null;
  type: string;
}

export interface RivalTable {
  delivery_no: number;
  report_no: number;
  source: string;
}

export interface RivalContentTable {
  day: string | null;
  delivery_no: number | null;
  file: string | null;
  is_sheet: boolean | null;
  report_no: number | null;
  revision: number | null;
  sha256: string | null;
}

export interface RowFindingTable {
  currency: string | null;
  difference: string | null;
  field: string | null;
  kind: Kind;
  line: number;
  load_no: number;
  message: string;
  of_matchable: boolean;
  recorded: string | null;
  reported: string | null;
  request_id: string | null;
  stake_currency: string | null;
  stake_minor: Numeric | null;
  transaction_id: string | null;
  type: string | null;
}

export interface RunTable {
  answers: number;
  batch_no: number;
  changed: boolean;
  coverage: RunCoverage | null;
  digest: string;
  facts: RunFacts;
  is_gone: Generated<boolean>;
  no: Generated<number>;
  published_at: Generated<Timestamp>;
  rules: string;
}

export interface RunAllocationTable {
  amount_minor: bigint;
  currency: string;
  flags: number;
  is_settled: boolean;
  key_hash: bigint;
  line: number;
  load_no: number;
  merchant_no: number;
  own_request_id: string | null;
  record_type: string | null;
  request_id: string;
  run_no: number;
  settlement_minor: bigint | null;
  total: CumulativeTotal;
  transaction_id: string | null;
  type: string;
}

export interface RunCauseTable {
  batch_no: number;
  by_batch_no: number | null;
  cause: 'report' | 'replay' | 'withdrawal' | 'records' | 'calendar' | 'batch';
  intervention_no: number | null;
  wanted: number;
}

export interface RunDayTable {
  day: string;
  is_checked: boolean;
  merchant_no: number;
  run_no: number;
}

export interface RunLoadTable {
  load_no: number;
  part: number;
  run_no: number;
}

export interface RunOpenReferenceTable {
  merchant_no: number;
  request_id: string | null;
  run_no: number;
  transaction_id: string | null;
}

export interface SeenChangeTable {
  fingerprint: bigint;
  key_hash: bigint;
  merchant_no: number;
  updated_at: Timestamp;
}

export interface SourceUseTable {
  source: string;
  used_at: Timestamp;
}

export interface SummaryRowTable {
  fee_minor: bigint | null;
  line: number;
  load_no: number;
  row_count: bigint | null;
  settlement_minor: bigint | null;
  type: string | null;
}

export interface WantedRowsTable {
  attempts: Generated<number>;
  batch_no: number;
  load_no: number;
}

export interface Schema {
  api_request: ApiRequestTable;
  api_token: ApiTokenTable;
  audit_event: AuditEventTable;
  audit_head: AuditHeadTable;
  away: AwayTable;
  away_probe: AwayProbeTable;
  bank_change: BankChangeTable;
  bank_confirmation: BankConfirmationTable;
  bank_entry: BankEntryTable;
  bank_file: BankFileTable;
  bank_matching: BankMatchingTable;
  bank_setting: BankSettingTable;
  bank_statement: BankStatementTable;
  batch: BatchTable;
  batch_state: BatchStateTable;
  book: BookTable;
  checked_day: CheckedDayTable;
  chunk: ChunkTable;
  console_login: ConsoleLoginTable;
  console_session: ConsoleSessionTable;
  delivery: DeliveryTable;
  discrepancy: DiscrepancyTable;
  dropped: DroppedTable;
  dropped_ids: DroppedIdsTable;
  format: FormatTable;
  handling: HandlingTable;
  imported_file: ImportedFileTable;
  intervention: InterventionTable;
  late_day: LateDayTable;
  ledger_setting: LedgerSettingTable;
  load: LoadTable;
  merchant: MerchantTable;
  migration: MigrationTable;
  named_row: NamedRowTable;
  payout: PayoutTable;
  payout_entry: PayoutEntryTable;
  record: RecordTable;
  report: ReportTable;
  report_row: ReportRowTable;
  rival: RivalTable;
  rival_content: RivalContentTable;
  row_finding: RowFindingTable;
  run: RunTable;
  run_allocation: RunAllocationTable;
  run_cause: RunCauseTable;
  run_day: RunDayTable;
  run_load: RunLoadTable;
  run_open_reference: RunOpenReferenceTable;
  seen_change: SeenChangeTable;
  source_use: SourceUseTable;
  summary_row: SummaryRowTable;
  wanted_rows: WantedRowsTable;
}
