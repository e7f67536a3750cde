import type { z } from 'zod';
import { type Given, type Layer, type Path, valueAt } from './raw.ts';

/** What is written often, and must not stand in the file. */
const ADVICE: ReadonlyMap<string, string> = new Map([
  ['password', 'does not belong here: write passwordEnv, the variable that holds the password, or passwordFile'],
  ['passphrase', 'does not belong here: write passphraseEnv, the variable that holds the passphrase'],
  ['privateKey', 'does not belong here: write privateKeyFile, the file that holds the key'],
  ['databaseUrl', 'holds a password, so it does not belong here: set the variable DATABASE_URL'],
  ['redisUrl', 'may hold a password, so it does not belong here: set the variable REDIS_URL'],
]);

const EXPECTED: Readonly<Record<string, string>> = { string: 'one value', array: 'a list', object: 'keys with values' };

/** One line for each mistake that was found in a layer. */
export const linesOf = (issues: readonly z.core.$ZodIssue[], layer: Layer): string[] =>
  issues.flatMap((issue) => {
    const path = givenPart(issue.path as Path, layer.given);
    if (issue.code === 'unrecognized_keys') {
      const allowed = issue.message.split(', ');
      return issue.keys.map((key) => layer.begin([...path, key], null) + (ADVICE.get(key) ?? notKnown(key, allowed)));
    }
    const value = valueAt(layer.given, path);
    if (issue.code === 'invalid_type') {
      const sentence =
        value === undefined
          ? 'is missing'
          : `is ${kindOf(value)}, and must be ${EXPECTED[issue.expected] ?? 'another'}`;
      return [layer.begin(path, null) + sentence];
    }
    const shown = typeof value === 'string' && mayBeShown(path) ? shortened(value) : null;
    return [layer.begin(path, shown) + issue.message];
  });

/** A single item may stand for a list of one: then the mistake is in what was written. */
function givenPart(path: Path, given: Given): Path {
  const end = path.findIndex((_, at) => typeof valueAt(given, path.slice(0, at)) === 'string');
  return end === -1 ? path : path.slice(0, end);
}

/** Who mistakes a key may write a password in its place: of a server only what can hardly be one is shown. */
const mayBeShown = (path: Path): boolean =>
  path[0] !== 'databaseUrl' &&
  path[0] !== 'redisUrl' &&
  (!path.includes('sftp') || path.includes('port') || path.includes('hostKeySha256'));

const shortened = (value: string): string => (value.length <= 60 ? value : `${value.slice(0, 60)}…`);

const kindOf = (value: Given): string =>
  typeof value === 'string' ? 'one value' : Array.isArray(value) ? 'a list' : 'keys with values';

const notKnown = (key: string, allowed: readonly string[]): string => {
  const meant = nearest(key, allowed);
  return `is unknown; allowed: ${allowed.join(', ')}${meant === undefined ? '' : `; did you mean ${meant}?`}`;
};

/** The name that was probably meant. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  return known
    .map((other) => ({ other, edits: editsBetween(name.toLowerCase(), other.toLowerCase()) }))
    .filter(({ other, edits }) => edits <= Math.max(2, other.length / 3))
    .sort((a, b) => a.edits - b.edits)[0]?.other;
}

/** How many characters have to be put in, left out or replaced to make one of the other. */
function editsBetween(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (const [i, character] of [...a].entries()) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++) {
      next.push(Math.min(row[j + 1]! + 1, next[j]! + 1, row[j]! + (character === b[j] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}
