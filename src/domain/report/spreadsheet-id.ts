/** What spreadsheets do to ids in the files that they write, and what is meant by it. */

const EQUALS = 0x3d;
const APOSTROPHE = 0x27;

/** `="00123"` or `'00123`: how a spreadsheet is told that digits are text. */
export const isWrapped = (text: string): boolean => {
  const first = text.charCodeAt(0);
  return first === APOSTROPHE || (first === EQUALS && WRAPPED.test(text));
};

const WRAPPED = /^="(.*)"$/s;

/** The id that stands in trimmed text: `="00123"`, `'00123` and `'00123'` are 00123. Blank where nothing stands in it. */
export function meantBy(text: string): string {
  if (!isWrapped(text)) return text;
  const formula = WRAPPED.exec(text)?.[1];
  return (formula === undefined ? text.replace(/^'(.*?)'?$/s, '$1') : formula.replaceAll('""', '"')).trim();
}

/**
 * How a spreadsheet writes a number that is too long for it: `2.02603E+21`, with a comma in some languages. It was an id, and is none any more:
 * many have these first digits. An exponent has a plus and two digits at least, so that `1E5` or `12E+3` is an id like any other.
 */
const LOST_DIGITS = /^-?\d{1,3}(?:[.,]\d+)?E\+\d{2,3}$/i;

export const hasLostDigits = (id: string): boolean => LOST_DIGITS.test(id);
