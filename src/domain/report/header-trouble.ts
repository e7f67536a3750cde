/** Why the first line of a text is no header that is known, as far as the lines themselves show it. */

export type HeaderTrouble = { readonly what: string; readonly advice: string };

const SEPARATORS = [
  [',', 'commas'],
  [';', 'semicolons'],
  ['\t', 'tabs'],
  ['|', 'vertical bars'],
] as const;

/** Titles above a header are a few lines. */
const MOST_LINES = 50;
/** One name may stand in a title, too. */
const ENOUGH_NAMES = 2;

const COMMAS = 'Columns must be separated by commas: ask for such a file, or save it again as CSV with commas.';

/**
 * What stands in place of a header: other separators, a remark for spreadsheets, lines above it, all of it in quotes. `known` tells how many
 * of some names are those of columns. Null: none of it.
 */
export function headerTrouble(
  lines: readonly string[],
  known: (names: readonly string[]) => number,
): HeaderTrouble | null {
  const [first = ''] = lines;
  const best = bestOf(lines, known);
  const remark = /^\s*"?sep=(.?)"?[\s,;]*$/i.exec(first.replace('\t', ';'));
  if (remark !== null)
    return {
      what: `line 1 is "${shown(first)}", which spreadsheet programs write above the header${separated(best)}`,
      advice: adviceFor(best, 'Remove that line.'),
    };
  if (best === null) return null;
  if (best.line > 1)
    return {
      what: `the header is in line ${best.line}, below "${shown(first)}"${separated(best)}`,
      advice: adviceFor(best, 'Remove the lines above the header, or ask for the report without them.'),
    };
  if (best.separator !== ',') return { what: `line 1: the columns are separated by ${best.word}`, advice: COMMAS };
  return {
    what: 'line 1 is in quotes as a whole, so it is a single cell',
    advice: 'A program has put quotes around its lines: fetch the original file again.',
  };
}

type Best = { readonly line: number; readonly separator: string; readonly word: string };

/** The line that names more columns than the first one does as it is read. */
function bestOf(lines: readonly string[], known: (names: readonly string[]) => number): Best | null {
  let best: Best | null = null;
  let most = Math.max(ENOUGH_NAMES - 1, known(namesIn(lines[0] ?? '', ',')));
  for (const [at, line] of lines.slice(0, MOST_LINES).entries()) {
    for (const [separator, word] of SEPARATORS) {
      const names = Math.max(
        known(namesIn(line, separator)),
        separator === ',' ? known(namesIn(unquoted(line), separator)) : 0,
      );
      if (names <= most) continue;
      most = names;
      best = { line: at + 1, separator, word };
    }
  }
  return best;
}

const namesIn = (line: string, separator: string): string[] =>
  line.split(separator).map((name) =>
    name
      .trim()
      .replace(/^"(.*)"$/, '$1')
      .trim(),
  );

const unquoted = (line: string): string =>
  line
    .trim()
    .replace(/^"(.*)"$/s, '$1')
    .replaceAll('""', '"');

const separated = (best: Best | null): string =>
  best === null || best.separator === ',' ? '' : `, and the columns are separated by ${best.word}`;

const adviceFor = (best: Best | null, advice: string): string =>
  best === null || best.separator === ',' ? advice : `${advice} ${COMMAS}`;

export const shown = (line: string): string =>
  (line.length > 60 ? `${line.slice(0, 60)}…` : line).replaceAll(/\p{Cc}/gu, ' ').trim();
