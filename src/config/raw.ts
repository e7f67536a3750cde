/** Settings as they were written: everything is text, so that an id of 18 digits keeps all of them. Undefined: a key without a value. */
export type Given = string | undefined | readonly Given[] | { readonly [key: string]: Given };

export type Path = readonly (string | number)[];

/** Settings that were made in one place: the file, the environment or the command line. */
export type Layer = {
  readonly given: Given;
  /** What cannot be read at all, one line each. */
  readonly mistakes: readonly string[];
  /** Paths in it are relative to this folder. */
  readonly folder: string;
  /** How a line about a setting begins: where it was made, and the value, unless that must not be shown. */
  begin(path: Path, shown: string | null): string;
};

/** `sources[0].sftp.port` */
export const dotted = (path: Path): string =>
  path.map((part, at) => (typeof part === 'number' ? `[${part}]` : at === 0 ? part : `.${part}`)).join('');

export const isGroup = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** What stands there; undefined where nothing does. */
export function valueAt(given: Given, path: Path): Given {
  return path.reduce<Given>(
    (value, part) =>
      typeof value === 'object' ? (value as Readonly<Record<string | number, Given>>)[part] : undefined,
    given,
  );
}

/** Without the keys that have no value. */
export function withoutBlanks<T>(value: T): T {
  if (Array.isArray(value)) return value.map(withoutBlanks) as T;
  if (!isGroup(value)) return value;
  const entries = Object.entries(value).filter(([, below]) => below !== undefined);
  return Object.fromEntries(entries.map(([key, below]) => [key, withoutBlanks(below)])) as T;
}
