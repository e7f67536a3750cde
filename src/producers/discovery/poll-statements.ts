import { openSourceFiles } from '../../adapters/source-files/open.ts';
import { everySoOften } from '../rounds.ts';
import { findStatements, type StatementSource } from './find-statements.ts';
import { eachOnce, type PollContext, pauseMs, type Rounds, recordBack, recordFailure } from './poll.ts';

/** Looks for bank statements of a source, again and again until told to stop. A file is read when two listings show it the same. */
export async function pollStatements(source: StatementSource, context: PollContext, stop: AbortSignal): Promise<void> {
  const { name } = source;
  const place = await openSourceFiles(source.at);
  stop.addEventListener('abort', () => void place.close(), { once: true });
  let seen = new Map<string, string>();
  const logUnseen = eachOnce((files: object) =>
    context.log.warn({ source: name, ...files }, 'not read: no bank statement can lie there'),
  );
  const rounds: Rounds = { refusals: 0, isAway: false };
  const round = async () => {
    const now = new Map<string, string>();
    try {
      const found = await findStatements(context, source, place, ({ path, sizeBytes, modifiedAtMicros }) => {
        const looks = `${sizeBytes} ${modifiedAtMicros}`;
        now.set(path, looks);
        return seen.get(path) === looks;
      });
      seen = now;
      rounds.refusals = 0;
      rounds.isAway = false;
      await recordBack(context, name);
      logUnseen(found.unseen);
    } catch (error) {
      await recordFailure(context, name, error as Error, rounds);
    }
  };
  await everySoOften(() => pauseMs(source, rounds), stop, round);
}
