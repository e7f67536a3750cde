import { type Discrepancy, tell } from '../discrepancy.ts';
import { type Amount, withRole } from './amounts.ts';
import { type CellsContext, textOf } from './cells.ts';
import { namesOf } from './gross.ts';
import type { Row } from './row.ts';

/** The status of a row: whether its transaction happened. */
type Status = {
  /** False only if the format lists the word under `notDoneStatuses`. */
  readonly isDone: boolean;
  /** The format lists the word, or the report has no status. */
  readonly isKnown: boolean;
  /** As it is printed, trimmed; blank for an empty cell. */
  readonly word: string;
};

const DONE: Status = { isDone: true, isKnown: true, word: '' };
/** The name of a blank cell in the lists of a format; a cell with this very word is blank, too. */
const BLANK = 'NONE';

/**
 * Returns the status of a row. A word that the format does not list is no reason to leave the row out of the comparison: it counts as
 * done, and is reported. So does a blank cell, except in formats that list no words.
 */
export function statusOf(
  cells: readonly string[],
  { columns, format }: Pick<CellsContext, 'columns' | 'format'>,
): Status {
  const index = columns.at['status'];
  if (index === undefined) return DONE;
  const { doneStatuses, notDoneStatuses = [] } = format;
  const text = textOf(cells, columns, 'status');
  if (text === null && doneStatuses.length + notDoneStatuses.length === 0) return DONE;
  const key = (text ?? BLANK).toUpperCase();
  const word = cells[index]!.trim();
  if (doneStatuses.includes(key)) return { isDone: true, isKnown: true, word };
  if (notDoneStatuses.includes(key)) return { isDone: false, isKnown: true, word };
  return { isDone: true, isKnown: false, word };
}

/** `unknown_status`: the format does not define the word. */
export function checkStatus(row: Row, { isKnown, word }: Status): Discrepancy[] {
  if (isKnown) return [];
  const what = word === '' ? 'The status of this row is blank' : `The format does not list the status ${word}`;
  const message = `${what}, so it is unclear whether this ${row.type} is done: it is compared as if it were. Add the status to doneStatuses or notDoneStatuses of a format of your own.`;
  return [tell('unknown_status', message, { ...namesOf(row), field: 'status', reported: word })];
}

/**
 * A transaction that is not done, but has a settlement amount. The merchant's record decides whether that is wrong: it is reported only if
 * the record is done, and no other row of the batch settles it.
 */
export function checkNotDone(row: Row, { word }: Status, amounts: readonly Amount[]): Discrepancy[] {
  const settles = withRole(amounts, 'settlement').some(({ printed }) => printed.amountMinor !== 0n);
  if (row.matchBy !== 'own' || !settles) return [];
  const message = `By its status ${word || '(blank)'} this ${row.type} is not done, so its settlement amount is not counted. The merchant's record is done.`;
  const said = { field: 'status', reported: word, recorded: 'SUCCESS' };
  return [tell('status_mismatch', message, { ...namesOf(row), ...said })];
}
