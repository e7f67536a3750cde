import type { Encoding } from '../formats/format.ts';

/** What a report is read under. Kept with the load, so that a chunk is read the same way whenever and wherever it is. */
export type Rules = {
  readonly format: string;
  readonly amountUnit: 'major' | 'minor';
  readonly tolerance: string;
  readonly timeZone: string;
  /** Left out where a source does not say whose rows its reports may hold. */
  readonly customerIds?: readonly string[];
  /** Left out where a source does not say how its text is to be read. */
  readonly encoding?: Encoding;
};
