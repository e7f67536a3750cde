/** Amounts, fees, prices and counts are numbers in a sheet; whatever else there is, ids and times too, is text. */
const NUMBERS = /Value$|Fee$|^quotePrice$|^installmentsNum$/;

/** Writes an XLSX file of one sheet as a portal would: a header, then the rows. */
export async function writeSheet(path: string, [columns = [], ...rows]: readonly (readonly string[])[], at: Date) {
  const { default: Excel } = await import('exceljs');
  const book = new Excel.stream.xlsx.WorkbookWriter({ filename: path, useStyles: true, useSharedStrings: true });
  // The same content is the same file, in size at least, whenever it is written.
  book.created = at;
  book.modified = at;
  const sheet = book.addWorksheet('settlement details', { views: [{ state: 'frozen', ySplit: 1 }] });
  sheet.columns = columns.map((header) => ({ header, width: Math.max(12, header.length + 2) }));
  const header = sheet.getRow(1);
  header.font = { bold: true };
  header.commit();
  const isNumber = columns.map((column) => NUMBERS.test(column));
  for (const cells of rows) {
    sheet.addRow(cells.map((cell, at) => (cell === '' ? null : isNumber[at] ? Number(cell) : cell))).commit();
  }
  sheet.commit();
  await book.commit();
}
