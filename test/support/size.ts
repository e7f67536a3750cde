/** How much the property tests try: what `npm run check` has time for, or a night. */
const isNightly = process.env['SETTLESTREAM_TEST_SIZE'] === 'nightly';

export const sized = <T>(inCheck: T, nightly: T): T => (isNightly ? nightly : inCheck);

/** The seeds from 1 on, first and last; SETTLESTREAM_TEST_SEEDS=200 goes further, and `from-to` looks at some. */
export function seeds(inCheck: number, nightly: number): readonly [from: number, to: number] {
  const given = process.env['SETTLESTREAM_TEST_SEEDS'];
  const [first = 1, last] = (given ?? String(sized(inCheck, nightly))).split('-').map(Number);
  return last === undefined ? [1, first] : [first, last];
}
