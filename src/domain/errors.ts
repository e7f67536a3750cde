/** Why a row cannot be read, and what to do: one sentence per code. */
export const ROW_REFUSALS = {
  too_few_cells: 'The row ends before this column: ask the sender for a complete file.',
  surplus_cell: 'The row has text beyond the last column of the header: look for a comma in a cell without quotes.',
  bad_quoting: 'A quote is never closed, or text follows the closing quote: ask the sender for a corrected file.',
  row_too_long: 'The row is longer than 1 MiB: look for a missing quote or line end.',
  too_many_cells: 'The row has more cells than any report has columns: look for a missing line end.',
  nul_in_cell: 'The cell contains a NUL character, which is not valid in text: ask the sender for a corrected file.',
  id_too_long: 'The text is longer than 1,000 bytes, the most that an index can hold: ask the sender for a shorter id.',
  lost_digits:
    'A spreadsheet turned this id into a number, and its last digits are lost: fetch the original file again and do not save it in a spreadsheet, or ask the sender to write ids as text.',
  missing_type: 'The row has no type: ask the provider for it.',
  other_batch: 'The row names another settlement batch than the report: ask the provider which one is right.',
  other_currency: 'The row settles in another currency than the report names: ask the provider which one is right.',
  unknown_currency:
    'This is not an ISO 4217 currency with a minor unit: use three upper case letters, as in EUR. If the code is valid, ask for it to be added.',
  missing_currency: 'The amount has no currency: ask the provider for it.',
  missing_amount: 'A row of this type needs this amount: ask the provider for it.',
  bad_amount:
    'This is not an amount: an amount is an optional minus, digits, and an optional point with digits, without commas. If the file was edited, fetch the original again.',
  too_many_decimals:
    'The amount has more decimals than its currency: check whether it is in major or minor units (amountUnit of a source, amount or amountMinor of a record).',
  out_of_range: 'The amount exceeds 9,000,000,000,000,000,000 of the smallest unit: ask the sender to correct it.',
  sum_out_of_range:
    'A sum of this row exceeds 9,000,000,000,000,000,000 of the smallest unit: ask the provider to correct it.',
  bad_time:
    'This is not an ISO 8601 time with an offset from 2000 to 2100, like 2026-01-31T10:00:00+08:00. If the file was edited, fetch the original again.',
  unknown_time_zone:
    'The format does not define the offset of this time zone: add it to zones of a format of your own, or ask the provider for another zone.',
  missing_value: 'Every record needs a value in this column: fill it in.',
  not_allowed: 'This value is unknown: use one of the allowed values.',
  negative_amount:
    'Amounts of records have no sign, because the type says which way the money moves: remove the minus.',
  contradicting_amounts: 'The columns amount and amountMinor differ: correct one of them, or leave it out.',
  contradicting_record:
    'The file has an earlier record with the same merchant, type and request id and other content: keep the right one.',
  unclear_merchant: 'There are several merchants, and this record names none: fill in merchantId, or use --merchant.',
  bad_day: 'This is not a day from 1990 to 2100 as such statements write it: ask the bank for a corrected statement.',
  bad_mark: 'This does not say whether it is a credit or a debit: ask the bank for a corrected statement.',
  other_balance:
    'Other rows of the day state another balance here: ask the bank for a corrected statement, or correct columns of the format file.',
  bad_entry: 'The line is not an entry of such a statement: ask the bank for a corrected one.',
  bad_control_total:
    'The control total or count is not that of the records before it, so some are missing or changed: fetch the file again, or ask the bank for it.',
  no_trailer: 'The record that ends this part is missing, so the file is not whole: fetch it again.',
  bad_count: 'This is not a count: a count has only digits, at most 15. Ask the provider for a corrected report.',
} as const;

export type RowRefusalCode = keyof typeof ROW_REFUSALS;

/** The row is wrong and a retry cannot help: it is recorded, and reading continues. */
export class RowRefused extends Error {
  override readonly name = 'RowRefused';
  readonly code: RowRefusalCode;
  /** The column as the header prints it; null when the whole row is meant. */
  readonly column: string | null;
  /** The text of the cell, cut so that it can be shown; null if there is no cell. */
  readonly text: string | null;

  constructor(code: RowRefusalCode, column: string | null, text: string | null) {
    const shown = text === null ? null : showable(text, 200);
    const where = column === null ? '' : `column ${column}`;
    const what = shown === null || shown === '' ? '' : `"${showable(shown, 40)}"`;
    const place = [where, what].filter((part) => part !== '').join(', ');
    // Where in the code it was found helps nobody, and writing it down took half of the time of a report of refused rows.
    const frames = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(place === '' ? ROW_REFUSALS[code] : `${place}: ${ROW_REFUSALS[code]}`);
    Error.stackTraceLimit = frames;
    this.code = code;
    this.column = column;
    this.text = shown;
  }
}

/** Why no row of a report is used, and what to do: one sentence per code. Scripts rely on the codes. */
export const REPORT_REFUSALS = {
  no_end: 'The report has no <END> line, so its upload is incomplete: wait for the rest, or fetch it again.',
  no_header:
    'The first line contains no column of this format: check that the first line is the header and that the source has the right format.',
  missing_columns: 'The header lacks required columns: ask the provider to add them.',
  duplicate_columns:
    'The header contains the same column twice, so it is unclear which one to use: ask the provider for a file with unique column names.',
  mixed_merchants:
    'The report contains rows of another merchant: check its folder, and customerIds of the source. If it is right and an earlier content was wrong, withdraw the earlier one and replay this one.',
  unclear_merchant:
    'The path of the report names no merchant, and there are several: put it into the folders of its merchant (…/<merchant>/<yyyyMMdd>/), call for it alone with --merchant ID, or give it a source with merchantId.',
  unknown_format: 'The name matches no report of this format: check the name, and the name patterns of the source.',
  bad_encoding:
    'The text is neither UTF-8 nor GB18030: fetch the original report again, and do not open it in another program first.',
  rows_after_end: 'Text follows the <END> line: fetch the report again, or ask the provider for one file per report.',
  row_too_long: 'A line never ends: check that this is a CSV file, or ask the provider for a corrected one.',
  too_large: 'The report is too large: ask the provider to send it in parts.',
  not_xlsx: 'The file is named like an XLSX workbook but is not one: fetch it again from the portal.',
  truncated_xlsx: 'The workbook is truncated: fetch it again from the portal.',
  unreadable:
    'The file cannot be read: check that it exists, is complete and may be read by this user; otherwise fetch it again.',
  conflicting_files:
    'It is unclear which of these files is right, so none is used: remove the wrong ones, or withdraw them (settlestream withdraw --report FILE --reason TEXT). Put reports of two merchants into two sources, or calls with --merchant. In folders of days (…/<merchant>/<yyyyMMdd>/) the latest counts.',
  withdrawn:
    'The report was withdrawn, so none of its rows is used: deliver other content under its name, or replay it, to bring it back.',
} as const;

export type ReportRefusalCode = keyof typeof REPORT_REFUSALS;

/** The report is wrong as a whole. Other content under its name may fix it; a retry cannot. */
export class ReportRefused extends Error {
  override readonly name = 'ReportRefused';
  readonly code: ReportRefusalCode;
  readonly detail: string | null;
  readonly advice: string;

  /** `detail` says where: columns, a line, a name. `advice` replaces the sentence of the code if the cause is known more exactly. */
  constructor(code: ReportRefusalCode, detail: string | null = null, advice: string = REPORT_REFUSALS[code]) {
    super(detail === null ? advice : `${detail}: ${advice}`);
    this.code = code;
    this.detail = detail;
    this.advice = advice;
  }
}

/** The file no longer exists as it was found. It is read when its source lists it so again. */
export class ReportVanished extends ReportRefused {}

/** A wrong option, setting or path. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly exitCode = 2;
}

/** A server does not answer; a retry may work. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable';
  readonly exitCode = 4;
}

/** The server or disk answers, and refuses this one file or directory; others are available. */
export class Denied extends Unreachable {}

/** The archive is unavailable: its disk is full or not mounted. */
export class ArchiveAway extends Unreachable {
  /** Free space that is needed; null if space is not the reason, or the size is unknown. */
  readonly needsBytes: number | null;

  constructor(message: string, needsBytes: number | null = null) {
    super(message);
    this.needsBytes = needsBytes;
  }
}

/** The server refuses the login. It is retried at growing intervals, because servers lock accounts. */
export class LoginRefused extends Unreachable {}

/**
 * The server's key is not pinned. It may be an impostor, so nothing was sent to it. It counts as unreachable: later the right
 * server may answer.
 */
export class HostKeyRefused extends Unreachable {}

/** Returns the text cut by whole characters, without half a surrogate pair. NUL becomes U+FFFD, because Postgres cannot store it. */
function showable(text: string, characters: number): string {
  const cut = text.length <= characters ? text : [...text.slice(0, 2 * characters)].slice(0, characters).join('');
  return cut.replaceAll('\0', '\uFFFD');
}
