import { Bai2Reader } from '../../domain/bank/bai2.ts';
import type { CsvStatementFormat } from '../../domain/bank/csv-format.ts';
import { Mt940Reader } from '../../domain/bank/mt940.ts';
import type { BankEvent } from '../../domain/bank/statement.ts';
import { ReportRefused } from '../../domain/errors.ts';
import { CamtFile } from './camt.ts';
import { csvFormatOf, openCsv } from './csv-statements.ts';
import { BadXml } from './xml.ts';

/** So many bytes tell what a file is: the lines above the header of a CSV, and the header, must be among them. */
export const HEAD_BYTES = 16_384;
/** The other formats begin within these. */
const BEGIN_BYTES = 4_096;
/** No line of a statement is longer. */
const MAX_LINE_BYTES = 1 << 20;
const LF = 0x0a;

/** What a file of statements is written in: a CSV as its format says. */
export type OpenedAs = 'camt' | 'mt940' | 'bai2' | CsvStatementFormat;

/**
 * What a file of statements is written in, by its first bytes; null: it is none. A header that fits is the surest sign.
 * @throws ReportRefused where two formats of one's own fit equally.
 */
export function statementFormatOf(head: Buffer, formats: readonly CsvStatementFormat[]): OpenedAs | null {
  const own = csvFormatOf(head, formats);
  if (own !== null) return own;
  const text = head
    .toString('latin1', 0, BEGIN_BYTES)
    .replace(/^\u00ef\u00bb\u00bf/, '')
    .trimStart();
  if (text.startsWith('<')) return 'camt';
  if (/^01,/.test(text)) return 'bai2';
  return /^(\{1:|:20:)/.test(text) || /\n(\{1:|:20:)/.test(text) ? 'mt940' : null;
}

/** A file of statements, read block by block in memory that does not grow with it. */
export type StatementFile = {
  /** @throws ReportRefused with the line where it is not what it should be; what was read before is in `events`. */
  push(block: Buffer, events: BankEvent[]): void;
  end(events: BankEvent[]): void;
};

export function openStatements(format: OpenedAs): StatementFile {
  if (typeof format === 'object') return openCsv(format);
  return format === 'camt' ? openCamt() : openLines(format === 'mt940' ? new Mt940Reader() : new Bai2Reader());
}

const NOT_READ = 'The statements before it are used. Fetch the file again, or ask the bank for a corrected one.';

function openCamt(): StatementFile {
  const file = new CamtFile();
  const refusing = (read: () => void): void => {
    try {
      read();
    } catch (error) {
      if (!(error instanceof BadXml)) throw error;
      throw new ReportRefused('unreadable', `line ${file.line}, ${error.message}`, NOT_READ);
    }
  };
  return {
    push: (block, events) => refusing(() => file.pushInto(block, events)),
    end: () => refusing(() => file.end()),
  };
}

function openLines(reader: Mt940Reader | Bai2Reader): StatementFile {
  let rest = Buffer.alloc(0);
  let line = 0;
  const read = (bytes: Buffer, events: BankEvent[]) => {
    line++;
    events.push(...reader.push(textOf(bytes)));
  };
  return {
    push(block, events) {
      const bytes = rest.length === 0 ? block : Buffer.concat([rest, block]);
      let from = 0;
      for (let to = bytes.indexOf(LF); to >= 0; to = bytes.indexOf(LF, from)) {
        read(bytes.subarray(from, to), events);
        from = to + 1;
      }
      // A block may be used again for the next.
      rest = Buffer.from(bytes.subarray(from));
      if (rest.length > MAX_LINE_BYTES)
        throw new ReportRefused('row_too_long', `line ${line + 1} is longer than ${MAX_LINE_BYTES} bytes`, NOT_READ);
    },
    end(events) {
      if (rest.length > 0) read(rest, events);
      events.push(...reader.end());
    },
  };
}

const UTF8 = new TextDecoder('utf-8', { fatal: true });

/** Banks write ASCII, UTF-8 or Latin-1, each file in one of them; a line that is no UTF-8 is Latin-1. */
function textOf(bytes: Buffer): string {
  const line = bytes.at(-1) === 0x0d ? bytes.subarray(0, -1) : bytes;
  try {
    return UTF8.decode(line);
  } catch {
    return line.toString('latin1');
  }
}
