import { openSourceFiles } from '../../adapters/source-files/open.ts';
import { LoginRefused, Unreachable } from '../../domain/errors.ts';
import { clearAway, recordAway } from '../../store/away.sql.ts';
import { everySoOften } from '../rounds.ts';
import { findStatements, type StatementSource } from './find-statements.ts';
import { isAway } from './name-reports.ts';
import type { PollContext } from './poll.ts';

/** A server that refuses the login is asked less and less often, for it may lock the account. */
const LONGEST_REFUSED_MS = 15 * 60_000;

/** Looks for bank statements of a source, again and again until told to stop. A file is read when two listings show it the same. */
export async function pollStatements(source: StatementSource, context: PollContext, stop: AbortSignal): Promise<void> {
  const { name, pollSeconds } = source;
  const { database, log } = context;
  const place = await openSourceFiles(source.at);
  stop.addEventListener('abort', () => void place.close(), { once: true });
  let seen = new Map<string, string>();
  let told = new Set<string>();
  let refusals = 0;
  const round = async () => {
    const now = new Map<string, string>();
    try {
      const found = await findStatements(context, source, place, ({ path, sizeBytes, modifiedAtMicros }) => {
        const looks = `${sizeBytes} ${modifiedAtMicros}`;
        now.set(path, looks);
        return seen.get(path) === looks;
      });
      seen = now;
      refusals = 0;
      const seconds = await clearAway(database.db, `source ${name}`);
      if (seconds !== null) log.warn({ source: name, seconds }, 'available again');
      const fresh = found.unseen.filter(({ file }) => !told.has(file));
      told = new Set(found.unseen.map(({ file }) => file));
      for (const { file, why } of fresh)
        log.warn({ source: name, file, why }, 'not read: no bank statement can lie there');
    } catch (error) {
      if (error instanceof LoginRefused) refusals++;
      if (error instanceof Unreachable && isAway(error))
        await recordAway(database.db, `source ${name}`, {
          reason: error.message,
          isLogin: error instanceof LoginRefused,
        }).catch(() => {});
      log.error({ source: name, error: (error as Error).message }, 'poll failed; retrying in the next poll');
    }
  };
  const pauseMs = () =>
    Math.max(pollSeconds * 1_000, Math.min(pollSeconds * 1_000 * 2 ** refusals, LONGEST_REFUSED_MS));
  await everySoOften(pauseMs, stop, round);
}
