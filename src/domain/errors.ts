/** Why a row cannot be read, and what to do: one sentence a code. */
export const ROW_REFUSALS = {
  too_few_cells: 'The row ends before this column: ask whoever made the file for it again.',
  surplus_cell: 'The row has text beyond the last column of the header: look for an unquoted comma in a cell.',
  bad_quoting: 'A quote is never closed, or text follows its end: ask whoever made the file for it again.',
  row_too_long: 'The row is longer than 1 MiB: look for a quote or a line end that is missing.',
  too_many_cells: 'The row has more cells than any report has columns: look for a line end that is missing.',
  nul_in_cell: 'The cell holds a NUL character, which no text has: ask whoever made the file for it again.',
  id_too_long:
    'The text is longer than 1,000 bytes, so no index holds it: ask whoever made the file for a shorter one.',
  lost_digits:
    'A spreadsheet made a number of this id, and its last digits are lost: take the file anew from where it came and do not save it in a spreadsheet, or ask whoever made it to write ids as text.',
  missing_type: 'The row does not say what it is: ask the provider for its type.',
  other_batch: 'The row names another settlement batch than the report: ask the provider which of the two is right.',
  other_currency:
    'The row settles in another currency than the report names: ask the provider which of the two is right.',
  unknown_currency:
    'This is no ISO 4217 currency with a minor unit: three upper case letters and nothing else are needed, as in EUR; if they are right, tell us the code.',
  missing_currency: 'An amount stands without its currency: ask the provider for it.',
  missing_amount: 'This amount is needed in such a row: ask the provider for it.',
  bad_amount:
    'This is no amount: an optional minus, digits, and an optional point with digits is one, without commas. If the file was edited, take it anew from where it came.',
  too_many_decimals:
    'The amount has more decimals than its currency: check whether it stands in major or minor units (amountUnit of a source, amount or amountMinor of a record).',
  out_of_range:
    'The amount is beyond 9,000,000,000,000,000,000 of the smallest unit: ask whoever made the file to correct it.',
  sum_out_of_range:
    'What this row adds up to is beyond 9,000,000,000,000,000,000 of the smallest unit: ask the provider to correct it.',
  bad_time:
    'This is no time from 2000 to 2100 in ISO 8601 with an offset, like 2026-01-31T10:00:00+08:00: if the file was edited, take it anew from where it came.',
  unknown_time_zone:
    'The format does not say which offset this time zone has: add it to zones of a format of your own, or ask the provider for another zone.',
  missing_value: 'This column is needed in every record: fill it in.',
  not_allowed: 'This value is not known here: use one of those that are allowed.',
  negative_amount: 'Amounts of records carry no sign, the type says which way the money moves: drop the minus.',
  contradicting_amounts:
    'The columns amount and amountMinor say different things: correct one of them, or leave it out.',
  contradicting_record:
    'The same merchant, type and request id stand in this file before, with other content: keep the right one of the two.',
  unclear_merchant:
    'There are several merchants, and nothing says whose this record is: fill merchantId, or name it with --merchant.',
  bad_day: 'This is no day from 1990 to 2100 as such statements write it: ask the bank for the statement again.',
  bad_mark: 'This does not say whether it is a credit or a debit: ask the bank for the statement again.',
  bad_entry: 'The line does not read as an entry of such a statement: ask the bank for it again.',
  bad_count: 'This is no count: only digits are, at most 15 of them. Ask the provider for the report again.',
} as const;

export type RowRefusalCode = keyof typeof ROW_REFUSALS;

/** The row is wrong and will be wrong tomorrow: record it and go on, never retry. */
export class RowRefused extends Error {
  override readonly name = 'RowRefused';
  readonly code: RowRefusalCode;
  /** The column as the header prints it; null when the whole row is meant. */
  readonly column: string | null;
  /** What stands there, as it can be shown; null when nothing can stand there. */
  readonly text: string | null;

  constructor(code: RowRefusalCode, column: string | null, text: string | null) {
    const shown = text === null ? null : showable(text, 200);
    const where = column === null ? '' : `column ${column}`;
    const what = shown === null || shown === '' ? '' : `"${showable(shown, 40)}"`;
    const place = [where, what].filter((part) => part !== '').join(', ');
    super(place === '' ? ROW_REFUSALS[code] : `${place}: ${ROW_REFUSALS[code]}`);
    this.code = code;
    this.column = column;
    this.text = shown;
  }
}

/** Why no row of a report is used, and what to do: one sentence a code. The codes are a promise to scripts. */
export const REPORT_REFUSALS = {
  no_end: 'The report has no <END> line, so its upload is not complete: wait for the rest, or fetch it again.',
  no_header:
    'The first line names no column of this format: check that the first line is the header and that the source has the right format.',
  missing_columns: 'The header lacks columns that the report cannot do without: ask the provider to add them.',
  duplicate_columns:
    'The header names a column twice, so it is open which one counts: ask the provider for one of them.',
  mixed_merchants:
    "The report holds another merchant's rows: check its folder, and customerIds of the source. If it is right and an earlier content was not, withdraw that one and replay this one.",
  unclear_merchant:
    'Its path names no merchant, and there are several: put it into the folders of its merchant (…/<merchant>/<yyyyMMdd>/), name the merchant in a call for it alone (--merchant ID), or give it a source with merchantId.',
  unknown_format: 'The name fits no report of this format: check the name, and the name patterns of the source.',
  bad_encoding:
    'The text is neither UTF-8 nor GB18030: fetch the report again as it was sent, and do not open it in between.',
  rows_after_end: 'Text follows the <END> line: fetch the report again, or ask the provider for one file a report.',
  row_too_long: 'A line never ends: check that this is a CSV file, or ask the provider for it again.',
  too_large: 'The report is larger than is read: ask the provider for it in parts.',
  not_xlsx: 'The file has the name of an XLSX workbook and is none: fetch it again from the portal.',
  truncated_xlsx: 'The workbook is cut off: fetch it again from the portal.',
  unreadable:
    'The file cannot be read: check that it is there and whole, and who may read it; fetch it again if it is not.',
  conflicting_files:
    "Nothing says which of them is right, so none of them is used: take the wrong ones away, or withdraw them (settlestream withdraw --report FILE --reason TEXT). Two merchants' reports belong into two sources, or calls with --merchant; of folders of days (…/<merchant>/<yyyyMMdd>/) the latest counts.",
  withdrawn:
    'The report was withdrawn, so no row of it is used: other bytes under its name, or a replay of it, bring it back.',
} as const;

export type ReportRefusalCode = keyof typeof REPORT_REFUSALS;

/** The report is wrong as a whole; other bytes under its name may mend it, trying again does not. */
export class ReportRefused extends Error {
  override readonly name = 'ReportRefused';
  readonly code: ReportRefusalCode;
  readonly detail: string | null;
  readonly advice: string;

  /** `detail` says where: columns, a line, a name. `advice` takes the place of the code's own sentence where more is known than that. */
  constructor(code: ReportRefusalCode, detail: string | null = null, advice: string = REPORT_REFUSALS[code]) {
    super(detail === null ? advice : `${detail}: ${advice}`);
    this.code = code;
    this.detail = detail;
    this.advice = advice;
  }
}

/** The file is not there any more as it was found. If its source shows it so again, it is read. */
export class ReportVanished extends ReportRefused {}

/** The caller asked for something that cannot be done as asked. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly exitCode = 2;
}

/** A server does not answer: the same call may work later. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable';
  readonly exitCode = 4;
}

/** The server or disk answers, and of this one thing the answer is no; others can be had. */
export class Denied extends Unreachable {}

/** The archive cannot be used: its disk has no room, or is not there. */
export class ArchiveAway extends Unreachable {
  /** So much room is needed; null where that is not the reason, or not known. */
  readonly needsBytes: number | null;

  constructor(message: string, needsBytes: number | null = null) {
    super(message);
    this.needsBytes = needsBytes;
  }
}

/** The server does not let this user in. Not tried again at once, for servers lock those out who try too often. */
export class LoginRefused extends Unreachable {}

/**
 * The server's key is none of those that are known. It may be another server that wants our password, so nothing was sent to it.
 * It is Unreachable to those who call: asked again later, the right server may answer.
 */
export class HostKeyRefused extends Unreachable {}

/** Cut by whole characters, so that no half of one is left; NUL is shown as U+FFFD, because Postgres stores none. */
function showable(text: string, characters: number): string {
  const cut = text.length <= characters ? text : [...text.slice(0, 2 * characters)].slice(0, characters).join('');
  return cut.replaceAll('\0', '\uFFFD');
}
