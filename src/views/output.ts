/** Writes pieces to stdout one after the other, waiting whenever the reader is slower. */
export async function writeAll(pieces: AsyncIterable<string> | Iterable<string>): Promise<void> {
  for await (const piece of pieces) {
    if (!process.stdout.write(piece)) await new Promise((resolve) => process.stdout.once('drain', resolve));
  }
}

/** CSV lines, each ended by a line end. `columns` is null where the header stands already. */
export const csvLines = (
  columns: readonly string[] | null,
  rows: readonly (readonly (string | number | null)[])[],
): string[] => [...(columns ? [columns] : []), ...rows].map((cells) => `${cells.map(csvCell).join(',')}\n`);

/** Quoted where needed. A text that a spreadsheet would take for a formula is made text by an apostrophe; a number is not. */
function csvCell(value: string | number | null): string {
  if (value === null) return '';
  const text = String(value);
  const isFormula = /^[=+\-@\t\r]/.test(text) && !/^-?\d+(\.\d+)?$/.test(text);
  const safe = isFormula ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
