/** What stands in a workbook that the program has written. */
import exceljs from 'exceljs';

/** The rows of each sheet, header included, by the sheet's name. */
export async function rowsOfSheets(path: string): Promise<Record<string, unknown[][]>> {
  const book = new exceljs.Workbook();
  await book.xlsx.readFile(path);
  return Object.fromEntries(
    book.worksheets.map((sheet) => {
      const rows: unknown[][] = [];
      sheet.eachRow((row) => rows.push((row.values as unknown[]).slice(1).map((value) => value ?? '')));
      return [sheet.name, rows];
    }),
  );
}
