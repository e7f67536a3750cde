import { isUtf16 } from './encoding.ts';

/** What a file is that is no CSV, and what to do. */
export type Stranger = { readonly what: string; readonly advice: string };

const SAVE_AS_CSV = 'Save it as CSV in UTF-8, or use the CSV that it was made from.';
const FETCH_AGAIN = 'Check what was delivered instead, and fetch the report again.';

const BINARY: readonly { readonly begins: string; readonly is: Stranger }[] = [
  {
    begins: 'PK\x03\x04',
    is: { what: 'a ZIP archive or a workbook', advice: 'Rename it to .zip or .xlsx, or unpack it.' },
  },
  { begins: '\x1f\x8b', is: { what: 'packed by gzip', advice: 'Unpack it; a report may also be named .csv.gz.' } },
  { begins: '%PDF-', is: { what: 'a PDF', advice: 'Ask for the report as CSV.' } },
  { begins: '\xd0\xcf\x11\xe0', is: { what: 'an old workbook (.xls), or one with a password', advice: SAVE_AS_CSV } },
  { begins: '-----BEGIN PGP', is: { what: 'encrypted by PGP', advice: 'Decrypt it first.' } },
  { begins: '7z\xbc\xaf', is: { what: 'a 7z archive', advice: 'Unpack it.' } },
  { begins: 'Rar!', is: { what: 'a RAR archive', advice: 'Unpack it.' } },
];

/** Tells by its first bytes what cannot be CSV, whatever it is called. Null: it may be. */
export function strangerIn(head: Buffer): Stranger | null {
  const start = head.toString('latin1', 0, 1_024);
  const binary = BINARY.find(({ begins }) => start.startsWith(begins));
  if (binary) return binary.is;
  if (isUtf16(head.subarray(0, 16)))
    return { what: 'UTF-16', advice: 'Save it in UTF-8, or fetch the original again.' };
  const text = start.replace(/^\xef\xbb\xbf/, '').trimStart();
  if (/^(<!doctype html|<html|<head|<body|<!--)/i.test(text)) return { what: 'an HTML page', advice: FETCH_AGAIN };
  if (/^<\?xml/i.test(text)) return { what: 'XML', advice: FETCH_AGAIN };
  if (/^(\{\s*("|\}|$)|\[\s*(\{|\]|$))/.test(text)) return { what: 'JSON', advice: FETCH_AGAIN };
  return null;
}
