import { type BoundaryFinder, cellsOf, type Head, MAX_CELLS, MAX_ROW_BYTES } from '../../adapters/file-formats/csv.ts';
import { ENCODING_NAMES, type Encoding, type EncodingDetector } from '../../adapters/file-formats/encoding.ts';
import { strangerIn } from '../../adapters/file-formats/strangers.ts';
import { ReportRefused } from '../../domain/errors.ts';
import { candidateFormats } from '../../domain/formats/all.ts';
import type { Format, ReportKind } from '../../domain/formats/format.ts';
import { type Columns, chooseFormat, namesKnown, readHeader } from '../../domain/report/header.ts';
import { headerTrouble, shown } from '../../domain/report/header-trouble.ts';

type Reading = {
  readonly head: Head;
  readonly boundaries: BoundaryFinder;
  readonly encoding: EncodingDetector;
  readonly kind: ReportKind;
  readonly own: Format;
};

export type ReadHeader = { readonly cells: string[]; readonly format: Format; readonly columns: Columns };

/** Returns the names of the columns and their format. Throws ReportRefused, which says what the first line is instead. */
export function readHead({ head, boundaries: { header }, encoding, kind, own }: Reading): ReadHeader {
  refuseStranger(head);
  const known = knownEncoding(encoding);
  if (!header) throw new ReportRefused('no_header', ...emptiness(head));
  if (header.status === 'row_too_long') throw tooLong(header);
  const cells = cellsOf(header.bytes, known);
  if (!cells) throw new ReportRefused('no_header', `line ${header.line}, a quote is not closed`);
  try {
    const format = chooseFormat(cells, kind, candidateFormats(own), own);
    return { cells, format, columns: readHeader(cells, kind, format) };
  } catch (error) {
    if (!(error instanceof ReportRefused) || error.code === 'duplicate_columns') throw error;
    const readAs = encoding.hasText || known !== 'utf8' ? `read as ${ENCODING_NAMES[known]}, ` : '';
    const trouble = headerTrouble(head.lines(known), (names) => namesKnown(names, kind, candidateFormats(own)));
    if (trouble) throw new ReportRefused(error.code, `${readAs}${trouble.what}`, trouble.advice);
    const where = error.code === 'no_header' ? `line ${header.line} is "${shown(cells.join(','))}"` : error.detail;
    throw new ReportRefused(error.code, `${readAs}${where}`, error.advice);
  }
}

/** Returns why a text without its end mark is not read: it is no report at all, or its upload is incomplete. */
export function noEnd(reading: Reading): ReportRefused {
  const { head, boundaries, encoding } = reading;
  refuseStranger(head);
  const known = knownEncoding(encoding);
  const lines = head.lines(known);
  // An incomplete upload may end within its header.
  if (boundaries.header && lines.length > 1) {
    const trouble = headerTrouble(lines, (names) => namesKnown(names, reading.kind, candidateFormats(reading.own)));
    if (trouble) return new ReportRefused('no_header', trouble.what, trouble.advice);
  }
  return new ReportRefused('no_end');
}

/** Refuses a file that is not text, before any other check. */
function refuseStranger(head: Head): void {
  const stranger = strangerIn(head.bytes);
  if (stranger === null) return;
  throw new ReportRefused(
    stranger.what === 'UTF-16' ? 'bad_encoding' : 'no_header',
    `the file is ${stranger.what}`,
    stranger.advice,
  );
}

export function knownEncoding(encoding: EncodingDetector): Encoding {
  const known = encoding.result();
  if (known === 'bad_encoding')
    throw new ReportRefused('bad_encoding', 'the file is UTF-16', 'Save it in UTF-8, or fetch the original again.');
  return known;
}

function emptiness({ bytes }: Head): [string, string] {
  const what = bytes.length === 0 ? 'the file is empty (0 bytes)' : 'the file has no line with text';
  return [
    what,
    'A report begins with a header, also where it has no rows: fetch it again, or ask the provider for it.',
  ];
}

const tooLong = ({ line, bytes }: { readonly line: number; readonly bytes: Buffer }): ReportRefused =>
  bytes.length < MAX_ROW_BYTES
    ? new ReportRefused(
        'row_too_long',
        `line ${line} has more than ${MAX_CELLS} columns`,
        'No report has so many: check that this is a report, and ask the provider for a corrected one.',
      )
    : new ReportRefused('row_too_long', `line ${line}`);
