import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, resolve } from 'node:path';
import type { z } from 'zod';
import type { Calendar } from '../domain/calendar/calendar.ts';
import type { Retention } from '../domain/calendar/retention.ts';
import { UsageError } from '../domain/errors.ts';
import { DEFAULT_FORMAT } from '../domain/formats/all.ts';
import type { ApprovalLimits } from '../domain/handling.ts';
import { type ConsoleSettings, isLoopback } from './console-shape.ts';
import { linesOf, nearest } from './errors.ts';
import { readTextFile } from './files.ts';
import { dotted, type Given, type Layer, type Path, valueAt, withoutBlanks } from './raw.ts';
import { ONLY_OF_VARIABLES, type Settings, type SourceSettings, settingsShape } from './shape.ts';
import { readYaml } from './yaml.ts';

export { clientSecretOf, secretsOf } from './secrets.ts';
export type { SftpConfig } from './shape.ts';

/** How reports are read, and how often is looked for them. */
type Reading = 'format' | 'amountUnit' | 'timeZone' | 'tolerance' | 'pollSeconds';

/** What settings of a source mean beside what is written. */
type WithCalendar = { readonly calendar: Calendar };

/** Where reports come from: a folder or a server. */
export type SourceConfig = Omit<Complete<SourceSettings, Reading | 'keepDays'>, 'calendar'> & WithCalendar;

/** All settings, with what nobody said filled in. Their meaning stands in config/shape.ts. */
export type Config = Complete<
  Omit<Settings, 'http' | 'console' | 'archive' | 'handling' | 'retention' | 'ledger' | 'sources'>,
  Reading | 'quietMinutes' | 'drainSeconds' | 'processes' | 'chunkBytes'
> & {
  readonly databaseUrl?: string | undefined;
  readonly redisUrl?: string | undefined;
  readonly logLevel?: string | undefined;
  readonly http: { readonly host: string; readonly port: number };
  readonly console: ConsoleConfig;
  readonly archive: { readonly folder?: string | undefined };
  readonly handling: { readonly approval: ApprovalLimits };
  readonly retention: Retention;
  /** Undefined: nothing is said of it, and the book stays as it is. */
  readonly ledger: LedgerConfig | undefined;
  readonly sources: readonly SourceConfig[];
};

/** Where the console listens, and how people come in. */
export type ConsoleConfig = {
  readonly host: string;
  readonly port: number;
  /** Where people reach it; undefined: under a loopback name. */
  readonly origin: string | undefined;
  /** Null: by links that are printed. */
  readonly login: NonNullable<ConsoleSettings['login']> | null;
  /** Whether the file says anything of it: then `run` serves it, too. */
  readonly isSaid: boolean;
};

/** Where the merchant's records stand. */
export type LedgerConfig = Complete<NonNullable<Settings['ledger']>, 'columns'> & {
  /** Whose records those are that name no merchant, where the file or the environment says it. */
  readonly merchant: string | undefined;
  /** How a mistake in one of these settings begins, that only the database shows. */
  begin(path: readonly string[]): string;
};

type Complete<Said, Filled extends keyof Said> = Omit<Said, Filled> & {
  readonly [Key in Filled]-?: NonNullable<Said[Key]>;
};

/** Settings of the command line, by their names there in camel case. */
export type Options = Readonly<Record<string, string | undefined>>;

/** Where a setting that is one value can be made, beside the file. */
const SETTINGS: readonly { readonly path: string; readonly variable: string; readonly option?: string }[] = [
  { path: 'dataDir', variable: 'SETTLESTREAM_DATA_DIR', option: 'dataDir' },
  { path: 'folder', variable: 'SETTLESTREAM_FOLDER', option: 'folder' },
  { path: 'merchant', variable: 'SETTLESTREAM_MERCHANT', option: 'merchant' },
  { path: 'format', variable: 'SETTLESTREAM_FORMAT', option: 'format' },
  { path: 'amountUnit', variable: 'SETTLESTREAM_AMOUNT_UNIT', option: 'amountUnit' },
  { path: 'timeZone', variable: 'SETTLESTREAM_TIME_ZONE', option: 'timeZone' },
  { path: 'tolerance', variable: 'SETTLESTREAM_TOLERANCE', option: 'tolerance' },
  { path: 'processes', variable: 'SETTLESTREAM_PROCESSES', option: 'processes' },
  { path: 'chunkBytes', variable: 'SETTLESTREAM_CHUNK_BYTES', option: 'chunkBytes' },
  { path: 'pollSeconds', variable: 'SETTLESTREAM_POLL_SECONDS', option: 'pollSeconds' },
  { path: 'quietMinutes', variable: 'SETTLESTREAM_QUIET_MINUTES' },
  { path: 'drainSeconds', variable: 'SETTLESTREAM_DRAIN_SECONDS' },
  { path: 'http.host', variable: 'SETTLESTREAM_HTTP_HOST' },
  { path: 'http.port', variable: 'SETTLESTREAM_HTTP_PORT', option: 'httpPort' },
  { path: 'console.host', variable: 'SETTLESTREAM_CONSOLE_HOST' },
  { path: 'console.origin', variable: 'SETTLESTREAM_CONSOLE_ORIGIN' },
  { path: 'console.port', variable: 'SETTLESTREAM_CONSOLE_PORT', option: 'port' },
  { path: 'archive.folder', variable: 'SETTLESTREAM_ARCHIVE_FOLDER' },
  { path: 'retention.rowsMonths', variable: 'SETTLESTREAM_RETENTION_ROWS_MONTHS' },
  { path: 'retention.rawTextMonths', variable: 'SETTLESTREAM_RETENTION_RAW_TEXT_MONTHS' },
  { path: 'retention.archiveMonths', variable: 'SETTLESTREAM_RETENTION_ARCHIVE_MONTHS' },
  { path: 'ledger.relation', variable: 'SETTLESTREAM_LEDGER_RELATION' },
  { path: 'ledger.where', variable: 'SETTLESTREAM_LEDGER_WHERE' },
  { path: 'ledger.timeZone', variable: 'SETTLESTREAM_LEDGER_TIME_ZONE' },
];
/** Settings that are no single value: their variables hold YAML or JSON. */
const STRUCTURED = [
  { path: ['sources'], variable: 'SETTLESTREAM_SOURCES' },
  { path: ['ledger', 'columns'], variable: 'SETTLESTREAM_LEDGER_COLUMNS' },
  { path: ['bank'], variable: 'SETTLESTREAM_BANK' },
  { path: ['handling', 'approval'], variable: 'SETTLESTREAM_HANDLING_APPROVAL' },
  { path: ['console', 'login'], variable: 'SETTLESTREAM_CONSOLE_LOGIN' },
] as const;
/** No settings of the file: addresses hold passwords, and logs begin before it is read. */
const ONLY_VARIABLES = [
  { path: 'databaseUrl', variable: 'DATABASE_URL' },
  { path: 'redisUrl', variable: 'REDIS_URL' },
  { path: 'logLevel', variable: 'SETTLESTREAM_LOG_LEVEL' },
];
/** Behind the name of such a variable: the file that holds its value, for Docker and Kubernetes hand secrets over as files. */
const IN_FILE = '_FILE';
const DEFAULT_FILE = 'settlestream.yaml';
const FILE_VARIABLE = 'SETTLESTREAM_CONFIG';
const PREFIX = 'SETTLESTREAM_';
/** What providers promise. */
const KEEP_DAYS = 7;
const VARIABLES = [
  ...SETTINGS.map(({ variable }) => variable),
  FILE_VARIABLE,
  ...STRUCTURED.map(({ variable }) => variable),
  'SETTLESTREAM_LOG_LEVEL',
];

/**
 * Reads all settings at once: from the command line, over the environment, over the file. Where neither `--config` nor its
 * variable names a file it is the default one, if that is there.
 * @throws UsageError with a line for every mistake: where it was made, what is wrong and what is allowed.
 */
export function readConfig(
  options: Options,
  environment: NodeJS.ProcessEnv = process.env,
  defaultFile: string | null = DEFAULT_FILE,
): Config {
  const layers = [fileLayer(options, environment, defaultFile), environmentLayer(environment), optionLayer(options)];
  const mistakes = layers.flatMap((layer) => layer.mistakes);
  const read = <T>(shape: z.ZodType<T>, layer: Layer): T | undefined => {
    const result = shape.safeParse(layer.given ?? {});
    if (!result.success) mistakes.push(...linesOf(result.error.issues, layer));
    return result.data && withoutBlanks(result.data);
  };
  const hasMerchant = layers.some(({ given }) => valueAt(given, ['merchant']) !== undefined);
  const said = layers.map((layer) => read(settingsShape({ folder: layer.folder, hasMerchant }), layer) ?? {});
  const variables = onlyVariablesLayer(environment);
  mistakes.push(...variables.mistakes);
  const onlyVariables = read(ONLY_OF_VARIABLES, variables);
  mistakes.push(...unknownVariables(environment, layers));
  const { ledger } = said.reduce(over);
  if (ledger && !ledger.relation) {
    for (const key of ['columns', 'timeZone'] as const) {
      if (layers.some(({ given }) => valueAt(given, ['ledger', key]) !== undefined))
        mistakes.push(`${beginOf(layers, ['ledger', key])}needs a relation that it applies to`);
    }
  }
  const isConsoleSaid = valueAt(layers[0]!.given, ['console']) !== undefined;
  const settings = complete(said.reduce(over), isConsoleSaid);
  mistakes.push(...mistakesTogether(settings, layers));
  if (mistakes.length > 0) throw new UsageError(mistakes.map(onOneLine).join('\n'));
  const config = { ...settings, ...onlyVariables };
  if (!ledger) return config;
  // An option is of one call, and whose records these are is a matter of the book.
  const { merchant } = said.slice(0, -1).reduce(over);
  return {
    ...config,
    ledger: {
      ...ledger,
      columns: ledger.columns ?? {},
      merchant,
      begin: (path) => beginOf(layers, ['ledger', ...path]),
    },
  };
}

/** The place where a setting is made: in the strongest layer that makes it. */
function beginOf(layers: readonly Layer[], path: Path): string {
  const layer = layers.findLast(({ given }) => valueAt(given, path) !== undefined);
  if (!layer) return beginOf(layers, path.slice(0, -1));
  const value = valueAt(layer.given, path);
  return layer.begin(path, typeof value === 'string' ? value : null);
}

/** Where the settings of this call come from: the file, if there is one, and the variables that are set. */
export function originsOf(options: Options, environment: NodeJS.ProcessEnv = process.env): string[] {
  const file =
    options['config'] ?? (environment[FILE_VARIABLE] || (existsSync(DEFAULT_FILE) ? DEFAULT_FILE : undefined));
  const only = ONLY_VARIABLES.flatMap(({ variable }) =>
    isAddress(variable) ? [variable, variable + IN_FILE] : [variable],
  );
  const variables = new Set([...VARIABLES, ...only]);
  return [...(file === undefined ? [] : [file]), ...[...variables].filter((name) => environment[name])];
}

function fileLayer(options: Options, environment: NodeJS.ProcessEnv, defaultFile: string | null): Layer {
  const named = options['config'] ?? (environment[FILE_VARIABLE] || undefined);
  const file = named ?? defaultFile;
  if (file === null || (named === undefined && !existsSync(file))) return flatLayer([]);
  const origin = options['config'] === undefined ? FILE_VARIABLE : '--config';
  const name = named === undefined ? file : `${origin}=${file}:`;
  try {
    return readYaml(readTextFile(file, name), file, dirname(resolve(file)));
  } catch (error) {
    if (error instanceof UsageError) return { ...flatLayer([]), mistakes: [error.message] };
    throw error;
  }
}

function environmentLayer(environment: NodeJS.ProcessEnv): Layer {
  const flat = variablesLayer(SETTINGS, environment);
  return STRUCTURED.reduce((layer, { path, variable }) => {
    const text = environment[variable];
    return text ? within(layer, path, readYaml(text, variable, flat.folder, path)) : layer;
  }, flat);
}

/** A layer with a part that was written by itself, as YAML. */
function within(layer: Layer, path: Path, part: Layer): Layer {
  const put = (given: Given, [key, ...below]: Path): Given =>
    key === undefined ? part.given : { ...(given as object), [key]: put(valueAt(given, [key]), below) };
  return {
    ...layer,
    given: put(layer.given, path),
    mistakes: [...layer.mistakes, ...part.mistakes],
    begin: (at, shown) => (path.every((key, depth) => at[depth] === key) ? part : layer).begin(at, shown),
  };
}

/** A variable that is set to nothing is not set, as in most programs. */
const variablesLayer = (
  settings: readonly { readonly path: string; readonly variable: string }[],
  environment: NodeJS.ProcessEnv,
): Layer =>
  flatLayer(
    settings.map(({ path, variable }) => ({ path, name: variable, value: environment[variable] || undefined })),
  );

/** What only variables say; an address may stand in a file that they name. */
function onlyVariablesLayer(environment: NodeJS.ProcessEnv): Layer {
  const mistakes: string[] = [];
  const settings = ONLY_VARIABLES.map(({ path, variable }) => {
    const file = isAddress(variable) ? environment[variable + IN_FILE] : undefined;
    const value = environment[variable] || undefined;
    if (!file) return { path, name: variable, value };
    if (value) mistakes.push(`${variable + IN_FILE}: ${variable} is set too: remove one of them`);
    const name = `${variable + IN_FILE}=${file}`;
    try {
      return { path, name, value: readTextFile(file, `${name}:`).trim() };
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      mistakes.push(error.message);
      return { path, name, value: undefined };
    }
  });
  return { ...flatLayer(settings), mistakes };
}

const isAddress = (variable: string): boolean => variable.endsWith('_URL');

const optionLayer = (options: Options): Layer =>
  flatLayer(
    SETTINGS.filter(({ option }) => option !== undefined).map(({ path, option }) => ({
      path,
      name: `--${option!.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`,
      value: options[option!],
    })),
  );

/** Settings that were made one by one. */
function flatLayer(
  settings: readonly { readonly path: string; readonly name: string; readonly value: string | undefined }[],
): Layer {
  const given: Record<string, Given> = {};
  for (const { path, value } of settings) {
    if (value === undefined) continue;
    const [key = '', below] = path.split('.');
    given[key] = below === undefined ? value : { ...(given[key] as object), [below]: value };
  }
  return {
    given,
    mistakes: [],
    folder: process.cwd(),
    begin(path, shown) {
      const { name } = settings.find((setting) => setting.path === dotted(path))!;
      return `${name}${shown === null ? '' : `=${shown}`}: `;
    },
  };
}

/** What is right by itself and wrong beside what is said elsewhere. */
function mistakesTogether({ retention, console }: Config, layers: readonly Layer[]): string[] {
  const { rowsMonths, archiveMonths } = retention;
  const isKeptTooShort = rowsMonths !== null && archiveMonths !== null && archiveMonths < rowsMonths;
  return [
    ...(isKeptTooShort
      ? [
          `${beginOf(layers, ['retention', 'archiveMonths'])}is less than rowsMonths (${rowsMonths}), but old rows are restored from the archive: use at least as many months`,
        ]
      : []),
    ...mistakesOfConsole(console, (key) => beginOf(layers, ['console', key])),
  ];
}

/** Nobody reaches the console from elsewhere who has not signed in there, or by a way that others can read. */
function mistakesOfConsole({ host, origin, login }: ConsoleConfig, begin: (key: string) => string): string[] {
  const isOriginHere = origin !== undefined && isLoopback(new URL(origin).hostname);
  if (login === null) {
    const why = 'links sign in on this machine only: set console.login to oidc or proxy';
    // In a container it listens on all addresses, and the port is published on this machine.
    return [
      ...(isLoopback(host) || isOriginHere ? [] : [`${begin('host')}is reached by other machines, and ${why}`]),
      ...(origin === undefined || isOriginHere
        ? []
        : [`${begin('origin')}is for people at other machines, and ${why}`]),
    ];
  }
  const isAbroad = !isLoopback(host) || login.proxy !== undefined;
  return isAbroad && origin === undefined
    ? [`${begin('login')}needs console.origin: the https address at which people reach the console`]
    : [];
}

/** A misspelt variable would be ignored in silence. */
function unknownVariables(environment: NodeJS.ProcessEnv, layers: readonly Layer[]): string[] {
  // Sources name variables of their own; where a layer cannot be read it is open which.
  if (layers.some(({ mistakes }) => mistakes.length > 0)) return [];
  const named = layers.flatMap(({ given }) => [
    ...secretVariables(valueAt(given, ['sources'])),
    ...secretVariables(valueAt(given, ['bank', 'sources'])),
    valueAt(given, ['console', 'login', 'oidc', 'clientSecretEnv']),
  ]);
  const known = VARIABLES.map((name) => name.slice(PREFIX.length));
  return Object.entries(environment)
    .filter(([name]) => name.startsWith(PREFIX) && !VARIABLES.includes(name) && !named.includes(name))
    .filter(([name, value = '']) => !name.startsWith(`${PREFIX}TEST_`) && !isServiceLink(name, value))
    .map(([name]) => {
      const meant = nearest(name.slice(PREFIX.length), known);
      const hint = meant === undefined ? `known variables: ${VARIABLES.join(', ')}` : `did you mean ${PREFIX}${meant}?`;
      return `${name}: unknown; ${hint}`;
    });
}

const secretVariables = (sources: Given): Given[] =>
  Array.isArray(sources)
    ? sources.flatMap((source) => ['passwordEnv', 'passphraseEnv'].map((key) => valueAt(source, ['sftp', key])))
    : [];

/** Kubernetes tells every container of a service that is called settlestream by such variables. */
const isServiceLink = (name: string, value: string): boolean =>
  /_SERVICE_(HOST|PORT)|_PORT_\d+_(TCP|UDP)/.test(name) || /^(tcp|udp):\/\//.test(value);

/** What is said in the stronger place, over what is said in the weaker; a list of sources as a whole. */
const over = (weak: Settings, strong: Settings): Settings => ({
  ...weak,
  ...strong,
  http: { ...weak.http, ...strong.http },
  console: { ...weak.console, ...strong.console },
  archive: { ...weak.archive, ...strong.archive },
  handling: { ...weak.handling, ...strong.handling },
  retention: { ...weak.retention, ...strong.retention },
  ...(weak.ledger || strong.ledger ? { ledger: overLedger(weak.ledger, strong.ledger) } : {}),
});

const overLedger = (weak: Settings['ledger'], strong: Settings['ledger']) => ({
  ...weak,
  ...strong,
  columns: { ...weak?.columns, ...strong?.columns },
});

function complete(settings: Settings, isConsoleSaid: boolean): Config {
  const reading = {
    format: settings.format ?? DEFAULT_FORMAT,
    amountUnit: settings.amountUnit ?? 'major',
    timeZone: settings.timeZone ?? 'Asia/Shanghai',
    tolerance: settings.tolerance ?? 2n,
    pollSeconds: settings.pollSeconds ?? 30,
  };
  const quietMinutes = settings.quietMinutes ?? 30;
  return {
    ...settings,
    ...reading,
    quietMinutes,
    drainSeconds: settings.drainSeconds ?? 25,
    processes: settings.processes ?? availableParallelism(),
    chunkBytes: settings.chunkBytes ?? 8 << 20,
    http: { host: settings.http?.host ?? '127.0.0.1', port: settings.http?.port ?? 9464 },
    console: {
      host: settings.console?.host ?? '127.0.0.1',
      port: settings.console?.port ?? 9465,
      origin: settings.console?.origin,
      login: settings.console?.login ?? null,
      isSaid: isConsoleSaid,
    },
    archive: settings.archive ?? {},
    handling: { approval: settings.handling?.approval ?? {} },
    retention: {
      rowsMonths: settings.retention?.rowsMonths ?? null,
      rawTextMonths: settings.retention?.rawTextMonths ?? null,
      archiveMonths: settings.retention?.archiveMonths ?? null,
    },
    ledger: undefined,
    sources: (settings.sources ?? []).map((source) => ({
      ...source,
      // Where its directories tell whose reports they are, the merchant of all others would hide some.
      merchantId: source.merchantId ?? (isNamedByDirectories(source) ? undefined : settings.merchant),
      format: source.format ?? reading.format,
      amountUnit: source.amountUnit ?? reading.amountUnit,
      timeZone: source.timeZone ?? reading.timeZone,
      tolerance: source.tolerance ?? reading.tolerance,
      pollSeconds: source.pollSeconds ?? reading.pollSeconds,
      keepDays: source.keepDays ?? KEEP_DAYS,
      calendar: {
        ...source.calendar,
        quietMinutes: source.calendar.quietMinutes ?? quietMinutes,
        timeZone: source.timeZone ?? reading.timeZone,
      },
    })),
  };
}

function isNamedByDirectories({ folder, directories }: SourceSettings): boolean {
  const patterns = Object.values(directories ?? {}).filter((pattern) => pattern !== undefined);
  return folder !== undefined && patterns.length > 0 && patterns.every((pattern) => pattern.includes('{merchantId}'));
}

/** A line end in a key must not make two mistakes of one. */
const onOneLine = (line: string): string => line.replaceAll(/\p{Cc}/gu, '\uFFFD');
