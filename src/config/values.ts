import { isIP } from 'node:net';
import { z } from 'zod';
import type { Encoding } from '../domain/formats/format.ts';
import { isGroup } from './raw.ts';

/** Nothing more is said of a text that is empty. */
export const text = z.string().regex(/^\P{Cc}+$/u, {
  error: 'is empty, or contains a line end or another control character',
  abort: true,
});

export const timeZone = text.refine(isTimeZone, 'is not a time zone like Asia/Shanghai');

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

/** The encodings that bytes can be read in: a comma, a quote or a line end is never a part of another character. */
const ENCODINGS: Readonly<Record<string, Encoding>> = {
  'utf-8': 'utf8',
  utf8: 'utf8',
  gb18030: 'gb18030',
  gbk: 'gb18030',
  gb2312: 'gb18030',
  'windows-1252': 'windows-1252',
  'iso-8859-1': 'windows-1252',
  latin1: 'windows-1252',
};

export const encoding = text
  .refine(
    (name) => Object.hasOwn(ENCODINGS, name.toLowerCase()),
    'is none of utf-8, gb18030 (gbk), windows-1252 (latin1)',
  )
  .transform((name) => ENCODINGS[name.toLowerCase()]!);

/** A whole number of at most ten digits. */
export function wholeNumber(min: number, max: number) {
  return z
    .string()
    .refine(
      (text) => /^\d{1,10}$/.test(text) && Number(text) >= min && Number(text) <= max,
      `is not a whole number from ${min} to ${max}`,
    )
    .transform(Number);
}

/** A list, or the one item that would stand in it. */
export function listOf<Item extends z.ZodType>(item: Item) {
  return z.preprocess((given) => (typeof given === 'string' ? [given] : given), z.array(item));
}

export type Refuse = (path: (string | number)[], message: string) => void;
export type Check = (given: Readonly<Record<string, unknown>>, refuse: Refuse) => void;

/**
 * Keys and their values. Where a key is unknown the message is the list of those that are known. The check runs even where
 * values are wrong, so that all mistakes are told at once: it may rely on no type.
 */
export function group<Shape extends z.ZodRawShape>(shape: Shape, check: Check = () => {}) {
  return z
    .strictObject(shape, {
      error: ({ code }) => (code === 'unrecognized_keys' ? Object.keys(shape).join(', ') : undefined),
    })
    .superRefine(
      (given, context) => check(given, (path, message) => context.addIssue({ code: 'custom', path, message })),
      { when: ({ value }) => isGroup(value) },
    );
}

export const host = text.refine(
  (name) => isIP(name) !== 0 || /^\w([\w.-]*\w)?$/.test(name),
  'is not a host name or IP address: write it without sftp://, user and port',
);

/** Upper case, so that a password that was written here by mistake is mostly noticed. */
export const variable = text.regex(
  /^[A-Z_][A-Z0-9_]*$/,
  'is not the name of an environment variable in upper case: write the name, not the secret itself',
);
