/** What retention left of a report. */
export type Kept = {
  /** When its rows were dropped because they are old; null while they are kept. */
  readonly rowsDroppedAt: Date | null;
  /** When its archived copy was. */
  readonly fileDroppedAt: Date | null;
};

/** In UTC. */
export const dayOf = (time: Date): string => time.toISOString().slice(0, 10);

/** What is to be said of a batch some of whose reports are not all there any more. */
export function droppedText(reports: readonly Kept[]): string {
  const rows = days(reports.map(({ rowsDroppedAt }) => rowsDroppedAt));
  const files = days(reports.map(({ fileDroppedAt }) => fileDroppedAt));
  return [
    rows && `Retention dropped rows on ${rows}; totals and discrepancies are kept.\n`,
    files && `Retention dropped archived copies of its reports on ${files}: they cannot be replayed.\n`,
  ].join('');
}

const days = (times: readonly (Date | null)[]): string =>
  [...new Set(times.flatMap((time) => (time ? [dayOf(time)] : [])))].sort().join(', ');
