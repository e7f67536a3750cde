import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32, deflateRawSync } from 'node:zlib';
import { cellText, RowReader, type RowStatus } from '../../src/adapters/file-formats/csv.ts';
import { sheetAsCsv } from '../../src/adapters/file-formats/xlsx/workbook.ts';

/** One entry of an archive, and the lies that its directory tells of it. */
export type Part = {
  readonly name: string;
  readonly content: string | Buffer;
  readonly isStored?: boolean;
  readonly says?: { readonly sizeBytes?: number; readonly sum?: number; readonly flags?: number };
};

/** A ZIP archive as its parts say, right or wrong. */
export function zipOf(parts: readonly Part[]): Buffer {
  const blocks: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, content, isStored = false, says = {} } of parts) {
    const bytes = Buffer.from(content);
    const packed = isStored ? bytes : deflateRawSync(bytes, { level: 1 });
    const about = Buffer.alloc(26); // The fields that an entry's own header and the directory have in common.
    about.writeUInt16LE(20, 0);
    about.writeUInt16LE(says.flags ?? 0, 2);
    about.writeUInt16LE(isStored ? 0 : 8, 4);
    about.writeUInt32LE(says.sum ?? crc32(bytes), 10);
    about.writeUInt32LE(packed.length, 14);
    about.writeUInt32LE(says.sizeBytes ?? bytes.length, 18);
    about.writeUInt16LE(Buffer.byteLength(name), 22);
    const entry = [Buffer.from('PK\x03\x04'), about, Buffer.from(name), packed];
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(offset, 10);
    directory.push(Buffer.from('PK\x01\x02\x14\x00'), about, rest, Buffer.from(name));
    blocks.push(...entry);
    offset += Buffer.concat(entry).length;
  }
  const end = Buffer.alloc(18);
  end.writeUInt16LE(parts.length, 4);
  end.writeUInt16LE(parts.length, 6);
  end.writeUInt32LE(Buffer.concat(directory).length, 8);
  end.writeUInt32LE(offset, 12);
  return Buffer.concat([...blocks, ...directory, Buffer.from('PK\x05\x06'), end]);
}

const MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"';
const OFFICE = 'http://schemas.openxmlformats.org/officeDocument/2006/relationships';

const relationships = (...types: readonly [id: string, type: string, target: string][]) =>
  `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">${types
    .map(([id, type, target]) => `<Relationship Id="${id}" Type="${OFFICE}/${type}" Target="${target}"/>`)
    .join('')}</Relationships>`;

/** The XML of a sheet with these rows. */
export const sheetXml = (rows: string) =>
  `<?xml version="1.0"?><worksheet ${MAIN}><sheetData>${rows}</sheetData></worksheet>`;

/** The parts of a workbook with one sheet. `styles` are codes of number formats, for style 0, 1, …; `strings` is what stands in `<sst>`. */
export function workbookParts(
  sheet: string | Buffer,
  { strings = '', styles = [] as readonly string[], is1904 = false } = {},
): Part[] {
  const formats = styles.map((code, i) => `<numFmt numFmtId="${200 + i}" formatCode="${xmlText(code)}"/>`).join('');
  const uses = styles.map((_, i) => `<xf numFmtId="${200 + i}"/>`).join('');
  const types = [
    'workbook.xml:sheet.main',
    'worksheets/sheet1.xml:worksheet',
    'styles.xml:styles',
    'sharedStrings.xml:sharedStrings',
  ];
  const overrides = types.map((of) => {
    const [part, type] = of.split(':');
    return `<Override PartName="/xl/${part}" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.${type}+xml"/>`;
  });
  return [
    {
      name: '[Content_Types].xml',
      content:
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">' +
        `<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>${overrides.join('')}</Types>`,
    },
    { name: '_rels/.rels', content: relationships(['a', 'officeDocument', 'xl/workbook.xml']) },
    {
      name: 'xl/workbook.xml',
      content: `<workbook ${MAIN} xmlns:r="${OFFICE}"><workbookPr date1904="${is1904}"/><sheets><sheet name="1" sheetId="1" r:id="b"/></sheets></workbook>`,
    },
    {
      name: 'xl/_rels/workbook.xml.rels',
      content: relationships(
        ['b', 'worksheet', 'worksheets/sheet1.xml'],
        ['c', 'styles', 'styles.xml'],
        ['d', 'sharedStrings', 'sharedStrings.xml'],
      ),
    },
    { name: 'xl/worksheets/sheet1.xml', content: sheet },
    {
      name: 'xl/styles.xml',
      content: `<styleSheet ${MAIN}><numFmts>${formats}</numFmts><cellStyleXfs><xf numFmtId="14"/></cellStyleXfs><cellXfs>${uses}</cellXfs></styleSheet>`,
    },
    { name: 'xl/sharedStrings.xml', content: `<sst ${MAIN}>${strings}</sst>` },
  ];
}

/** The same parts with some of them changed, by name; null leaves one out, and a new one is added. */
export function withParts(
  parts: readonly Part[],
  changes: Readonly<Record<string, Omit<Part, 'name'> | null>>,
): Part[] {
  const kept = parts.flatMap((part) => {
    const change = changes[part.name];
    return change === null ? [] : [{ ...part, ...change }];
  });
  const added = Object.entries(changes).filter(([name]) => !parts.some((part) => part.name === name));
  return [...kept, ...added.flatMap(([name, part]) => (part === null ? [] : [{ name, ...part }]))];
}

export { OFFICE, relationships };

/** As text or an attribute; what XML cannot hold is escaped as the format does it. */
export const xmlText = (text: string) =>
  text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll(/_(?=x[0-9A-Fa-f]{4}_)/g, '_x005F_')
    .replaceAll(/./gsu, (character) => (isOfXml(character) ? character : escapeOf(character)));

/** A line feed is; a carriage return would become one. */
const isOfXml = (character: string) => character >= ' ' || character === '\t' || character === '\n';
const escapeOf = (character: string) => `_x${character.charCodeAt(0).toString(16).padStart(4, '0')}_`;

let files = 0;

/** Puts a file into a folder, under a name of its own. */
export function fileOf(folder: string, bytes: Buffer): string {
  const path = join(folder, `${++files}.xlsx`);
  writeFileSync(path, bytes);
  return path;
}

export type SheetRow = { readonly line: number; readonly status: RowStatus; readonly cells: readonly string[] };

/** The rows of a workbook, by the reader of its CSV. */
export async function rowsOf(path: string, timeZone = 'Asia/Shanghai'): Promise<SheetRow[]> {
  const reader = new RowReader({ rowsAreLines: true });
  const rows: SheetRow[] = [];
  const take = () => {
    while (reader.next()) {
      const cells = Array.from({ length: reader.cells }, (_, cell) => cellText(reader, cell, 'utf8'));
      rows.push({ line: reader.line, status: reader.status, cells });
    }
  };
  for await (const block of sheetAsCsv(path, { timeZone })) {
    reader.push(block);
    take();
  }
  reader.end();
  take();
  return rows;
}
