import { adyenSettlementDetails } from './adyen-settlement-details.ts';
import { antom } from './antom.ts';
import { apo } from './apo.ts';
import type { Format } from './format.ts';

/** The formats that come with the program, by name. */
export const FORMATS: Readonly<Record<string, Format>> = Object.fromEntries(
  [apo, antom, adyenSettlementDetails].map((format) => [format.name, format]),
);

/** What reports are read as where nobody says otherwise. */
export const DEFAULT_FORMAT = apo.name;

export function formatNamed(name: string): Format {
  const format = Object.hasOwn(FORMATS, name) ? FORMATS[name] : undefined;
  if (!format) throw new Error(`no format is named ${name}`);
  return format;
}

/** What a source's reports may be: its own format first, for that one wins where several fit alike. */
export const candidateFormats = (own: Format): readonly Format[] => [
  own,
  ...Object.values(FORMATS).filter(({ name }) => name !== own.name),
];
