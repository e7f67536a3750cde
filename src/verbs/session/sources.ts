import type { SftpSettings } from '../../adapters/source-files/sftp.ts';
import { type Config, type SourceConfig, secretsOf } from '../../config/config.ts';
import { loadFormat } from '../../config/format-file.ts';
import { FORMATS } from '../../domain/formats/all.ts';
import type { Format } from '../../domain/formats/format.ts';
import type { Source } from '../../producers/discovery/source.ts';

/** What the command line names is called so, in the book and in metrics. */
export const FILES = 'files';

/** A folder or file that was named on the command line, and how its reports are read. */
export const filesAt = (config: Config, folder: string): Source => ({
  name: FILES,
  at: { folder },
  merchantId: config.merchant ?? null,
  customerIds: null,
  format: formatOf(config.format),
  amountUnit: config.amountUnit,
  toleranceMinor: config.tolerance,
  timeZone: config.timeZone,
  directories: {},
  names: {},
  lookbackDays: 120,
  pollSeconds: config.pollSeconds,
  keepDays: 7,
  calendar: { timeZone: config.timeZone, weekend: [], holidays: [], quietMinutes: config.quietMinutes },
});

/** One that comes with the program, or a file of the user's own. */
const formatOf = (name: string): Format => (Object.hasOwn(FORMATS, name) ? FORMATS[name]! : loadFormat(name));

/**
 * All sources that are configured.
 * @throws UsageError when a secret that one of them needs is not there.
 */
export const sourcesOf = (config: Config, environment: NodeJS.ProcessEnv = process.env): Source[] => [
  ...(config.folder === undefined ? [] : [filesAt(config, config.folder)]),
  ...config.sources.map((source) => sourceOf(source, environment)),
];

const sourceOf = (source: SourceConfig, environment: NodeJS.ProcessEnv): Source => ({
  name: source.name,
  at: source.sftp ? { sftp: serverOf(source.sftp, environment) } : { folder: source.folder! },
  merchantId: source.merchantId ?? null,
  customerIds: source.customerIds ?? null,
  format: formatOf(source.format),
  amountUnit: source.amountUnit,
  toleranceMinor: source.tolerance,
  timeZone: source.timeZone,
  encoding: source.encoding,
  directories: source.directories ?? {},
  names: source.names ?? {},
  lookbackDays: source.lookbackDays,
  pollSeconds: source.pollSeconds,
  keepDays: source.keepDays,
  calendar: source.calendar,
});

/** @throws UsageError when a secret that it needs is not there. */
export function serverOf(sftp: NonNullable<SourceConfig['sftp']>, environment: NodeJS.ProcessEnv): SftpSettings {
  const { password = null, privateKey = null, passphrase = null } = secretsOf(sftp, environment);
  return {
    host: sftp.host,
    fallbackHost: sftp.fallbackHost ?? null,
    port: sftp.port,
    username: sftp.username,
    hostKeySha256: sftp.hostKeySha256 ?? [],
    password,
    privateKey,
    passphrase,
  };
}
