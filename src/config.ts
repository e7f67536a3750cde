import { availableParallelism } from 'node:os';
import { z } from 'zod';
import { UsageError } from './domain/errors.ts';
import { FORMATS } from './domain/formats/all.ts';

/** Settings, from the environment and over it from the command line; both as text. */
export type Config = z.infer<typeof Shape>;

const timeZone = z.string().refine(isTimeZone, { error: 'is no time zone (for example Asia/Shanghai)' });
const count = (min: number, max: number) => z.coerce.number().int().min(min).max(max);

const Shape = z.object({
  databaseUrl: z.string().optional(),
  redisUrl: z.string().optional(),
  dataDir: z.string().optional(),
  /** A folder that is watched by `run` and `produce`. */
  folder: z.string().optional(),
  merchant: z.string().min(1).optional(),
  format: z.enum(Object.keys(FORMATS) as [string, ...string[]]).default('apo'),
  amountUnit: z.enum(['major', 'minor']).default('major'),
  timeZone: timeZone.default('Asia/Shanghai'),
  /** In minor units of the compared currency. */
  tolerance: z
    .string()
    .regex(/^\d{1,9}$/, { error: 'is no whole number of minor units' })
    .default('2')
    .transform(BigInt),
  processes: count(1, 64).default(availableParallelism()),
  /** A report is cut into chunks of this size; 64 KiB at least. */
  chunkBytes: count(65_536, 1 << 30).default(8 << 20),
  pollSeconds: count(1, 86_400).default(30),
});

const NAMES: Readonly<Record<keyof Config, string>> = {
  databaseUrl: 'DATABASE_URL',
  redisUrl: 'REDIS_URL',
  dataDir: 'SETTLESTREAM_DATA_DIR',
  folder: 'SETTLESTREAM_FOLDER',
  merchant: 'SETTLESTREAM_MERCHANT',
  format: 'SETTLESTREAM_FORMAT',
  amountUnit: 'SETTLESTREAM_AMOUNT_UNIT',
  timeZone: 'SETTLESTREAM_TIME_ZONE',
  tolerance: 'SETTLESTREAM_TOLERANCE',
  processes: 'SETTLESTREAM_PROCESSES',
  chunkBytes: 'SETTLESTREAM_CHUNK_BYTES',
  pollSeconds: 'SETTLESTREAM_POLL_SECONDS',
};

export type Options = Readonly<Partial<Record<keyof Config, string>>>;

/**
 * Reads all settings at once.
 * @throws UsageError that names every mistake, where it was made and what is allowed.
 */
export function readConfig(options: Options, environment: NodeJS.ProcessEnv = process.env): Config {
  const given: Record<string, string> = {};
  const from: Record<string, string> = {};
  for (const [key, variable] of Object.entries(NAMES)) {
    const option = options[key as keyof Config];
    // A variable that is set to nothing is not set, as in most programs.
    const value = option ?? (environment[variable] || undefined);
    if (value === undefined) continue;
    given[key] = value;
    from[key] = option === undefined ? variable : `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  }
  const read = Shape.safeParse(given);
  if (read.success) return read.data;
  const mistakes = read.error.issues.map((issue) => {
    const key = String(issue.path[0]);
    return `${from[key] ?? key}=${given[key]}: ${issue.message}`;
  });
  throw new UsageError(mistakes.join('\n'));
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}
