import { apo } from './apo.ts';
import type { Format } from './format.ts';

/** The formats that come with the program, by name. */
export const FORMATS: Readonly<Record<string, Format>> = { apo };

export function formatNamed(name: string): Format {
  const format = FORMATS[name];
  if (!format) throw new Error(`no format is named ${name}`);
  return format;
}
