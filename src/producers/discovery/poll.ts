import type { Logger } from '../../adapters/log.ts';
import type { RecordMetric } from '../../adapters/metrics/definitions.ts';
import { DatabaseAway } from '../../adapters/postgres/connection.ts';
import { QueueAway } from '../../adapters/queue/queue.ts';
import { openSourceFiles } from '../../adapters/source-files/open.ts';
import { Denied, HostKeyRefused, LoginRefused, Unreachable } from '../../domain/errors.ts';
import { clearAway, recordAway } from '../../store/away.sql.ts';
import { everySoOften } from '../rounds.ts';
import { warnerOf } from './expiry-warnings.ts';
import { type DiscoveryContext, type Found, findReports } from './find-reports.ts';
import type { ListedFile } from './list-files.ts';
import type { NotReport } from './name-reports.ts';
import type { Source } from './source.ts';

/** What is away is looked for so often: work goes on soon after its return. */
const AWAY_MS = 5_000;
/** A server that does not let us in is asked less and less often, for it may lock an account for good. */
const LONGEST_REFUSED_MS = 15 * 60_000;

export type PollContext = DiscoveryContext & { readonly log: Logger; readonly recordMetric: RecordMetric };

/** How the last rounds of a source ended. */
export type Rounds = { refusals: number; isAway: boolean };

/** Looks for reports of a source, again and again until told to stop. One bad round does not end it. */
export async function pollSource(source: Source, context: PollContext, stop: AbortSignal): Promise<void> {
  const { log } = context;
  const { name } = source;
  const files = await openSourceFiles(source.at);
  // A server that hangs must not hold up the end.
  stop.addEventListener('abort', () => void files.close(), { once: true });
  const settled = settledTwice();
  const warner = warnerOf(source, context.database.db, log);
  const logSkippedFiles = eachOnce((files: object) =>
    log.warn({ source: name, ...files }, 'skipped files that are no reports'),
  );
  const rounds: Rounds = { refusals: 0, isAway: false };
  const round = async () => {
    const observe = observePoll(name, context.recordMetric);
    try {
      const found = await findReports(context, source, files, settled);
      rounds.refusals = 0;
      rounds.isAway = !found.isReached;
      await recordReached(context, name, found);
      await warner.listed(found.late);
      for (const { file } of found.growing) log.debug({ source: name, file }, 'still growing');
      logSkippedFiles(found.notReports);
      for (const { message } of found.unseen)
        log.error(
          { source: name, error: message },
          'poll incomplete: some files or directories could not be read; retrying in the next poll',
        );
      observe(found.unseen.length === 0 ? 'done' : 'failed');
    } catch (error) {
      observe('failed');
      await recordFailure(context, name, error as Error, rounds);
    }
    await warner
      .account()
      .catch((error: Error) => log.error({ source: name, error: error.message }, 'poll failed unexpectedly'));
  };
  await everySoOften(() => pauseMs(source, rounds), stop, round);
}

/** What is away is looked for more often; who lets nobody in less and less often. */
export function pauseMs({ pollSeconds }: Pick<Source, 'pollSeconds'>, { isAway, refusals }: Rounds): number {
  const pollMs = pollSeconds * 1_000;
  if (isAway) return Math.min(pollMs, AWAY_MS);
  return Math.max(pollMs, Math.min(pollMs * 2 ** refusals, LONGEST_REFUSED_MS));
}

/** A folder that is not there is away, as a server is that does not answer. */
async function recordReached(context: PollContext, name: string, found: Found): Promise<void> {
  if (found.isReached) return recordBack(context, name);
  const reason = found.unseen[0]?.message ?? 'its folder does not exist';
  await recordAway(context.database.db, `source ${name}`, { reason });
}

/** The source answers. */
export async function recordBack({ database, log }: PollContext, name: string): Promise<void> {
  const seconds = await clearAway(database.db, `source ${name}`);
  if (seconds !== null) log.warn({ source: name, seconds }, 'available again');
}

/** A round failed: what is away is written down, and the log says why. */
export async function recordFailure(
  { database, log }: PollContext,
  name: string,
  error: Error,
  rounds: Rounds,
): Promise<void> {
  rounds.isAway = isSourceAway(error);
  const isLogin = error instanceof LoginRefused;
  if (isLogin) rounds.refusals++;
  if (error instanceof Unreachable && !isOfOthers(error))
    await recordAway(database.db, `source ${name}`, { reason: error.message, isLogin }).catch(() => {});
  // Each refused login brings an account nearer to being locked: all are told, and they come less and less often.
  const cause = isLogin ? { cause: `login refused, time ${rounds.refusals}` } : {};
  log.error({ source: name, error: error.message, ...cause }, 'poll failed; retrying in the next poll');
}

/** It may be back at any moment; who refuses the login, or shows another key, is not to be asked more often for that. */
const isSourceAway = (error: unknown): boolean =>
  error instanceof Unreachable &&
  !isOfOthers(error) &&
  ![LoginRefused, HostKeyRefused].some((kind) => error instanceof kind);

/** Says nothing of the source: it answers, or the database or the queue does not. */
const isOfOthers = (error: Unreachable): boolean =>
  [Denied, DatabaseAway, QueueAway].some((kind) => error instanceof kind);

/** Measures a look for reports, until it is told how it ended. */
function observePoll(source: string, recordMetric: RecordMetric) {
  const startedAt = performance.now();
  return (outcome: 'done' | 'failed') => {
    const seconds = (performance.now() - startedAt) / 1_000;
    recordMetric({ name: 'recon_poll_duration_seconds', labels: { source }, value: seconds });
    recordMetric({ name: 'recon_polls_total', labels: { source, outcome }, value: 1 });
    if (outcome === 'failed') return;
    recordMetric({ name: 'recon_last_poll_success_timestamp_seconds', labels: { source }, value: Date.now() / 1_000 });
  };
}

/** A file is settled when its end is there, or when two listings show it the same. */
function settledTwice() {
  const seen = new Map<string, string>();
  return (file: ListedFile, isWhole: boolean): boolean => {
    const looks = `${file.sizeBytes} ${file.modifiedAtMicros}`;
    const isSame = seen.get(file.path) === looks;
    if (isWhole || isSame) seen.delete(file.path);
    else seen.set(file.path, looks);
    return isWhole || isSame;
  };
}

/** So many of the files that are new in a round are named. */
const NAMED = 10;

/** Tells of files that are no reports when they are first listed: one day a report is among them, under a name that nobody expected. */
export function eachOnce(tell: (files: { readonly count: number; readonly files: readonly string[] }) => void) {
  let known = new Set<string>();
  return (notReports: readonly Pick<NotReport, 'file' | 'why'>[]): void => {
    const fresh = notReports.filter(({ file }) => !known.has(file));
    known = new Set(notReports.map(({ file }) => file));
    const named = fresh.slice(0, NAMED).map(({ file, why }) => `${file}: ${why}`);
    if (fresh.length > 0) tell({ count: fresh.length, files: named });
  };
}
