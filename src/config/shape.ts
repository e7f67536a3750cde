import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { UsageError } from '../domain/errors.ts';
import { FORMATS } from '../domain/formats/all.ts';
import { digitsOf, isCurrency } from '../domain/money/currency.ts';
import { parseAmount } from '../domain/money/money.ts';
import { isAmbiguous } from '../domain/report/report-name.ts';
import { bankShape } from './bank-shape.ts';
import { calendarShape, quietMinutes } from './calendar-shape.ts';
import { consoleShape } from './console-shape.ts';
import { loadFormat } from './format-file.ts';
import { AMBIGUOUS_NAME } from './format-shape.ts';
import { ledgerShape } from './ledger-shape.ts';
import { isGroup } from './raw.ts';
import {
  type Check,
  encoding,
  group,
  host,
  listOf,
  type Refuse,
  text,
  timeZone,
  variable,
  wholeNumber,
} from './values.ts';

/** What one place says; each part of it may be said in another. */
export type Settings = z.output<ReturnType<typeof settingsShape>>;
export type SourceSettings = NonNullable<Settings['sources']>[number];
/** An SFTP server. It says where the secrets are, and holds none. */
export type SftpConfig = NonNullable<SourceSettings['sftp']>;

/** The settings as text, and what each must be. Messages are the ends of sentences that begin with the setting. */
export function settingsShape({ folder, hasMerchant }: { folder: string; hasMerchant: boolean }) {
  const path = pathShape(folder);
  return group(
    {
      dataDir: path.optional(),
      /** A folder that is watched by `run` and `produce`. */
      folder: path.optional(),
      merchant: text.optional(),
      ...readingShape(folder),
      processes: wholeNumber(1, 64).optional(),
      /** A report is cut into chunks of this size; 64 KiB at least. */
      chunkBytes: wholeNumber(65_536, 1 << 30).optional(),
      pollSeconds: seconds.optional(),
      /** So long is waited for what is missing of a batch, where the calendar of its source says nothing else. */
      quietMinutes: quietMinutes.optional(),
      /** So long jobs under way may go on after SIGTERM; what is not done by then another worker does again. */
      drainSeconds: wholeNumber(1, 3_600).optional(),
      /** Where metrics and health are told; port 0 is any that is free. */
      http: group({ host: host.optional(), port: wholeNumber(0, 65_535).optional() }).optional(),
      console: consoleShape(path).optional(),
      archive: group({ folder: path.optional() }).optional(),
      /** What one person may accept alone, by currency; more needs another one. */
      handling: group({ approval: approvalShape.optional() }).optional(),
      /** How long after its date what is known of a batch is kept; what is left out is kept for ever. */
      retention: group({
        /** Less, and what is settled today would look for rows that are gone: it looks back 120 days, and may come late. */
        rowsMonths: months(6).optional(),
        rawTextMonths: months(1).optional(),
        archiveMonths: months(6).optional(),
      }).optional(),
      /** Whose records are compared. What says nothing of it leaves the book as it is. */
      ledger: ledgerShape().optional(),
      sources: z.array(sourceShape(folder, hasMerchant)).optional(),
      /** Whether what the reports pay out has arrived. What says nothing of it leaves the book as it is. */
      bank: bankShape(statementsShape(folder), folder).optional(),
    },
    checkNames,
  );
}

/** A file or folder; a relative one is below the folder of the settings. */
const pathShape = (folder: string) =>
  text.transform((path) => (path.startsWith('~/') ? join(homedir(), path.slice(2)) : resolve(folder, path)));

const sourceName = text
  .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'is not a valid name: use lower case letters, digits and -')
  .refine((name) => name !== 'files', 'is reserved for files of the command line: use another name');

function sourceShape(folder: string, hasMerchant: boolean) {
  const path = pathShape(folder);
  return group(
    {
      name: sourceName,
      merchantId: text.optional(),
      ...readingShape(folder),
      /** How the text of its reports is read, where the bytes do not tell it. */
      encoding: encoding.optional(),
      /** Whose rows may stand in its reports; without them, one customer's, whoever that is. */
      customerIds: z.array(text).min(1, 'is empty: leave it out, or name the customers').optional(),
      folder: path.optional(),
      sftp: sftpShape(path).optional(),
      directories: group({
        transactionDetails: directory.optional(),
        settlementDetails: directory.optional(),
        settlementSummary: directory.optional(),
      }).optional(),
      names: group({
        transactionDetails: oneOrMore(reportName(DAY_NAME, [])).optional(),
        settlementDetails: oneOrMore(reportName(BATCH_NAME, ['{currency}', '{batchId}'])).optional(),
        settlementSummary: oneOrMore(reportName(BATCH_NAME, ['{currency}', '{batchId}'])).optional(),
      }).optional(),
      /** Directories of days further back are not looked into. */
      lookbackDays: wholeNumber(1, 36_500).prefault('120'),
      pollSeconds: seconds.optional(),
      /** The provider may delete a file so many days after it was written. */
      keepDays: wholeNumber(1, 3_650).optional(),
      /** When its reports are due. */
      calendar: calendarShape(),
    },
    checkSource(hasMerchant),
  );
}

/** Where statements lie: a folder, with all below it, or a directory of a server. */
function statementsShape(folder: string) {
  const path = pathShape(folder);
  return group(
    {
      name: sourceName,
      folder: path.optional(),
      sftp: sftpShape(path).optional(),
      /** Of a server: the directory that is listed. */
      directory: text.regex(/^\//, 'must start with /: it is a directory of the server').optional(),
      pollSeconds: seconds.optional(),
    },
    (source, refuse) => {
      const isServer = source['sftp'] !== undefined;
      if ((source['folder'] !== undefined) === isServer) refuse([], 'needs exactly one of folder, sftp');
      if (isServer !== (source['directory'] !== undefined))
        refuse(['directory'], isServer ? 'is missing: write the directory of the server' : 'needs sftp beside it');
    },
  );
}

const sftpShape = (path: ReturnType<typeof pathShape>) =>
  group(
    {
      host,
      /** Is tried where the other does not answer. */
      fallbackHost: host.optional(),
      port: wholeNumber(1, 65_535).prefault('22'),
      username: text,
      passwordEnv: variable.optional(),
      passwordFile: path.optional(),
      privateKeyFile: path.optional(),
      passphraseEnv: variable.optional(),
      /** Without one, connecting is refused and tells the server's own, so that it can be compared and written here. */
      hostKeySha256: oneOrMore(fingerprint).optional(),
    },
    checkLogin,
  );

/** Those of pino. */
const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

/** What comes from the environment only. Addresses of servers hold passwords, and are never shown. */
export const ONLY_OF_VARIABLES = z.object({
  databaseUrl: z
    .string()
    .refine(isAddress('postgres:', 'postgresql:'), addressLike('postgres://user:password@host:5432/book'))
    .optional(),
  redisUrl: z.string().refine(isAddress('redis:', 'rediss:'), addressLike('redis://:password@host:6379')).optional(),
  logLevel: z.enum(LOG_LEVELS, `is none of ${LOG_LEVELS.join(', ')}`).optional(),
});

const seconds = wholeNumber(1, 86_400);

/** Amounts in major units, as people write them; kept in the smallest unit. */
const approvalShape = z.record(z.string(), text).transform((limits, context) => {
  const minor: Record<string, bigint> = {};
  for (const [currency, amount] of Object.entries(limits)) {
    const refuse = (message: string) => context.addIssue({ code: 'custom', path: [currency], message });
    if (!isCurrency(currency)) refuse('is not an ISO 4217 currency code');
    else if (!/^\d{1,15}(\.\d+)?$/.test(amount)) refuse('is not an amount like 100 or 14.50');
    else {
      try {
        minor[currency] = parseAmount(amount, digitsOf(currency), 'major');
      } catch {
        refuse(`has more decimals than ${currency}`);
      }
    }
  }
  return minor;
});

/** Null: for ever, as it is where nothing is said. */
const months = (least: number) =>
  z.union([z.literal('forever').transform(() => null), wholeNumber(least, 1_200)], {
    error: `is neither forever nor a whole number of months from ${least} to 1200`,
  });

/** How reports are read; a source says it for its own. */
const readingShape = (folder: string) => ({
  format: text.transform((name, context) => formatAt(name, folder, context)).optional(),
  amountUnit: z.enum(['major', 'minor'], { error: 'is neither major (14.50) nor minor (1450)' }).optional(),
  timeZone: timeZone.optional(),
  /** In minor units of the compared currency. */
  tolerance: text
    .regex(/^\d{1,9}$/, 'is not a whole number of minor units')
    .transform(BigInt)
    .optional(),
});

/** A format that comes with the program, or the path of one's own. */
function formatAt(name: string, folder: string, context: z.RefinementCtx): string {
  if (Object.hasOwn(FORMATS, name)) return name;
  const refuse = (message: string) => {
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  };
  if (!/\.ya?ml$/i.test(name)) {
    return refuse(`is neither one of ${Object.keys(FORMATS).join(', ')} nor a .yaml file with a format of your own`);
  }
  const path = resolve(folder, name);
  try {
    loadFormat(path, name);
    return path;
  } catch (error) {
    if (error instanceof UsageError) return refuse(`is not a valid format: ${error.message.replaceAll('\n', '; ')}`);
    throw error;
  }
}

/** As `ssh-keygen -l` prints it, or in hex; kept in the first way. */
const fingerprint = text
  .regex(
    /^((SHA256:)?[A-Za-z0-9+/]{43}=?|[0-9A-Fa-f]{64})$/,
    'is not a SHA-256 fingerprint: write SHA256: and 43 characters, as ssh-keygen -l prints it, or 64 hex digits',
  )
  .transform((given) => {
    const base64 = given.length === 64 ? Buffer.from(given, 'hex').toString('base64') : given.replace('SHA256:', '');
    return `SHA256:${base64.replace('=', '')}`;
  });

const directory = checked((pattern) => {
  const folders = pattern.split('/');
  if (/[{}]/.test(pattern.replaceAll(/\{(merchantId|date)\}/g, '')))
    return 'may contain {merchantId} and {date}, and no other braces';
  if (folders.includes('..')) return 'must not contain ..';
  return folders.some(hasTwice) ? 'contains the same placeholder twice in one folder' : null;
});

const DAY_NAME = ['{date}', '{psp}', '{seq}'];
const BATCH_NAME = ['{date}', '{psp}', '{currency}', '{batchId}', '{seq}'];

/** The name of a report; the extension is no part of it. */
const reportName = (allowed: readonly string[], needed: readonly string[]) =>
  checked((pattern) => {
    const fixed = allowed.reduce((rest, placeholder) => rest.replaceAll(placeholder, ''), pattern);
    if (/[{}]/.test(fixed)) return `may contain ${allowed.join(' ')}, and no other braces`;
    if (/[/\\]/.test(fixed)) return 'is a path: write only the name here, and directories under directories';
    if (hasTwice(pattern)) return 'contains the same placeholder twice';
    if (isAmbiguous(pattern)) return AMBIGUOUS_NAME;
    const missing = needed.filter((placeholder) => !pattern.includes(placeholder));
    return missing.length > 0
      ? `lacks ${missing.join(' and ')}: the name must say which batch the report belongs to`
      : null;
  }).transform((pattern) => pattern.replace(/\.(csv|xlsx|zip)$/i, ''));

const hasTwice = (pattern: string): boolean => /(\{\w+\}).*\1/.test(pattern);

/** A text for which `mistakeIn` has nothing to say. */
function checked(mistakeIn: (text: string) => string | null) {
  return text.superRefine((text, context) => {
    const message = mistakeIn(text);
    if (message !== null) context.addIssue({ code: 'custom', message });
  });
}

/** A list, or the one item that would stand in it. */
function oneOrMore<Item extends z.ZodType>(item: Item) {
  return listOf(item).refine((items) => items.length > 0, 'is empty');
}

function checkLogin(sftp: Readonly<Record<string, unknown>>, refuse: Refuse): void {
  const ways = ['passwordEnv', 'passwordFile', 'privateKeyFile'];
  if (ways.filter((way) => sftp[way] !== undefined).length !== 1) refuse([], `needs exactly one of ${ways.join(', ')}`);
  if (sftp['passphraseEnv'] !== undefined && sftp['privateKeyFile'] === undefined)
    refuse(['passphraseEnv'], 'needs a privateKeyFile beside it');
}

const checkSource =
  (hasMerchant: boolean): Check =>
  (source, refuse) => {
    const isFolder = source['folder'] !== undefined;
    const isServer = source['sftp'] !== undefined;
    if (isFolder === isServer) refuse([], 'needs exactly one of folder, sftp');
    const directories = textsIn(source['directories']);
    for (const [kind, pattern] of directories) {
      const isAbsolute = pattern.startsWith('/');
      if (isServer && !isAbsolute) refuse(['directories', kind], 'must start with /: it is a directory of the server');
      if (isFolder && isAbsolute) refuse(['directories', kind], 'must not start with /: it is below the folder');
    }
    if (isFolder && source['keepDays'] !== undefined)
      refuse(['keepDays'], 'needs sftp beside it: nobody deletes files from a local folder');
    const isNamed = isFolder && directories.every(([, pattern]) => pattern.includes('{merchantId}'));
    if (!isNamed && !hasMerchant && source['merchantId'] === undefined)
      refuse(
        ['merchantId'],
        'is missing, and no other setting names the merchant: write its id here, or once for all sources as merchant',
      );
    const [, dayDirectory = ''] = directories.find(([kind]) => kind === 'transactionDetails') ?? [];
    const dayNames = isGroup(source['names']) ? textsIn(source['names']['transactionDetails']) : [];
    for (const [at, name] of dayNames) {
      if (![name, dayDirectory].some((pattern) => pattern.includes('{date}')))
        refuse(
          ['names', 'transactionDetails', Number(at)],
          'lacks {date}: the name or directories.transactionDetails must contain the day',
        );
    }
  };

const textsIn = (group: unknown): [string, string][] =>
  Object.entries(group ?? {}).filter((entry): entry is [string, string] => typeof entry[1] === 'string');

function checkNames(settings: Readonly<Record<string, unknown>>, refuse: Refuse): void {
  const bank = isGroup(settings['bank']) ? settings['bank'] : {};
  const listed: readonly (readonly [readonly (string | number)[], unknown])[] = [
    [['sources'], settings['sources']],
    [['bank', 'sources'], bank['sources']],
  ];
  const sources = listed.flatMap(([path, list]) =>
    (Array.isArray(list) ? list : []).map((source: unknown, at) => ({
      path: [...path, at, 'name'],
      name: isGroup(source) ? source['name'] : undefined,
    })),
  );
  sources.forEach(({ path, name }, at) => {
    if (name !== undefined && sources.findIndex((other) => other.name === name) < at)
      refuse(path, 'is the name of another source');
  });
}

function isAddress(...protocols: readonly string[]) {
  return (url: string): boolean => protocols.includes(URL.parse(url)?.protocol ?? '');
}

function addressLike(example: string): string {
  return `is not an address like ${example}; in a password write # / ? @ as %23 %2F %3F %40`;
}
