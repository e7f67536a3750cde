import { basename } from 'node:path';
import { openSourceFiles } from '../../adapters/source-files/open.ts';
import { reasonOf, within } from '../../adapters/timeout.ts';
import type { Config } from '../../config/config.ts';
import { dateIn } from '../../domain/calendar/time.ts';
import { LoginRefused, Unreachable, UsageError } from '../../domain/errors.ts';
import { mayBeReport } from '../../domain/report/report-name.ts';
import {
  type LateFile,
  lateFiles,
  PRESSING_DAYS,
  UNUSED_DAYS,
  unusedDays,
  WARNED_DAYS,
} from '../../producers/discovery/expiry.ts';
import { type ListedFile, listFiles, type Other } from '../../producers/discovery/list-files.ts';
import { layoutOf, type Source } from '../../producers/discovery/source.ts';
import { sourcesOf } from '../session/sources.ts';
import { type Ask, type Checked, ok, problem, warning } from './check.ts';
import { checkClock } from './database.ts';

export type Sources = {
  readonly sources: readonly Source[];
  /** Sources whose secrets are not there. */
  readonly mistakes: readonly Checked[];
};

/** Each source by itself, so that a missing password of one hides no other. */
export function sourcesToCheck(config: Config): Sources {
  const sources: Source[] = sourcesOf({ ...config, sources: [] });
  const mistakes: Checked[] = [];
  for (const source of config.sources) {
    try {
      sources.push(...sourcesOf({ ...config, folder: undefined, sources: [source] }));
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      mistakes.push({ ...problem(nameOf(source), error.message, 'Fix this and run doctor again.'), isUsage: true });
    }
  }
  return { sources, mistakes };
}

const nameOf = ({ name }: { name: string }): string => `source ${name}`;

/** Logs in, lists its directories, and compares what lies there with what was fetched. Nothing is written to it. */
export async function checkSource(source: Source, ask: Ask | null, limitMs: number): Promise<readonly Checked[]> {
  const place = await openSourceFiles(source.at);
  const today = dateIn(BigInt(Date.now()) * 1000n, source.timeZone);
  const unused = ask && (await ask((db) => unusedDays(db, source.name, Date.now())).catch(() => null));
  try {
    const { files, others, notListed } = await within(limitMs, listFiles(source, place, today));
    const { formats } = layoutOf(source);
    const reports = files.filter(({ path }) => mayBeReport(basename(path), formats));
    const late = ask && (await ask((db) => lateFiles(db, source, files, Date.now())).catch(() => null));
    return [
      ...notListed.map(({ message }) => problem(nameOf(source), message, LOOK_AT)),
      ...(files.length === 0 && notListed.length > 0 ? [] : [listed(source, reports)]),
      ...othersOf(source, others),
      ...clockOf(source, files),
      ...headroomOf(source, late),
      ...usedOf(source, unused),
    ];
  } catch (error) {
    return [await whyNot(source, error), ...usedOf(source, unused)];
  } finally {
    await place.close();
  }
}

function listed(source: Source, reports: readonly ListedFile[]): Checked {
  const newest = newestOf(reports);
  if (newest === null)
    return warning(
      nameOf(source),
      `${whereOf(source)} can be read, but there is no report`,
      'Check directories and names of the source, or wait for the first delivery.',
    );
  const when = new Date(timeOf(newest)).toISOString().slice(0, 16).replace('T', ' ');
  return ok(
    nameOf(source),
    `${whereOf(source)} can be read: ${reports.length} reports, the newest ${newest.file} of ${when}`,
  );
}

/** Links and special files: reports may lie behind them, and nobody looks. */
function othersOf(source: Source, others: readonly Other[]): readonly Checked[] {
  const [first] = others;
  if (!first) return [];
  return [
    warning(
      `${nameOf(source)}: links`,
      `${others.length} symbolic links or special files are not followed, among them ${first.file}`,
      'Put the files or folders themselves there, or use the target of the links as the folder of the source.',
    ),
  ];
}

const whereOf = ({ at }: Source): string =>
  'folder' in at ? at.folder : `sftp://${at.sftp.username}@${at.sftp.host}:${at.sftp.port}`;

const timeOf = ({ modifiedAtMicros }: ListedFile): number => Number(modifiedAtMicros / 1_000n);

const newestOf = (files: readonly ListedFile[]): ListedFile | null =>
  files.reduce<ListedFile | null>((newest, file) => (newest && timeOf(newest) >= timeOf(file) ? newest : file), null);

/** SFTP tells no time of its own; but a file that is newer than now was written by a clock that is ahead. */
function clockOf(source: Source, files: readonly ListedFile[]): readonly Checked[] {
  const newest = newestOf(files);
  const aheadMs = newest ? timeOf(newest) - Date.now() : 0;
  const checked = checkClock(`${nameOf(source)}: clock`, Math.max(0, aheadMs));
  return checked.state === 'ok' ? [] : [checked];
}

/** Files that the provider may soon delete, and that nobody has fetched. */
function headroomOf(source: Source, late: readonly LateFile[] | null): readonly Checked[] {
  const [oldest] = late ?? [];
  if (!late || !oldest) return [];
  const { file } = oldest;
  return [
    problem(
      `${nameOf(source)}: retention`,
      `${late.length} reports are not fetched and may be deleted after ${source.keepDays} days; the oldest is ${file.file} of ${new Date(timeOf(file)).toISOString().slice(0, 10)}`,
      'Fetch them now: settlestream run',
    ),
  ];
}

function usedOf(source: Source, days: number | null): readonly Checked[] {
  if ('folder' in source.at || days === null || days < WARNED_DAYS) return [];
  return [
    (days < PRESSING_DAYS ? warning : problem)(
      `${nameOf(source)}: account`,
      `the last login was ${days} days ago, and an account that is unused for ${UNUSED_DAYS} days is disabled`,
      'Keep "settlestream run" running, and check its log for failed logins.',
    ),
  ];
}

const LOOK_AT = 'Check merchantId, directories and folder of the source, and who may read them.';

/** A server that answers, and says no, has to be talked about; one that does not answer may do so later. */
async function whyNot(source: Source, error: unknown): Promise<Checked> {
  const found = (mend: string) => problem(nameOf(source), reasonOf(error), mend);
  if (!(error instanceof Unreachable))
    return found(error instanceof UsageError ? 'Fix it and run doctor again.' : LOOK_AT);
  const { HostKeyRefused } = await import('../../adapters/source-files/sftp.ts');
  if (error instanceof HostKeyRefused)
    return found(
      'Compare the key with the one that the provider publishes; if they are equal, enter it as hostKeySha256 of the source.',
    );
  if (error instanceof LoginRefused) return found('Check the user and the password or key of the source.');
  return { ...found("Check host and port, and that the provider allows this machine's address."), isAway: true };
}
