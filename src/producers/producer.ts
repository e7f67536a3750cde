import type { Retention } from '../domain/calendar/retention.ts';
import { noteNewDay } from '../store/bank/settings.ts';
import type { StatementSource } from './discovery/find-statements.ts';
import { type PollContext, pollSource } from './discovery/poll.ts';
import { pollStatements } from './discovery/poll-statements.ts';
import type { Source } from './discovery/source.ts';
import { lookerAtAway } from './recovery/look-at-away.ts';
import { type Asking, sweep } from './recovery/sweep.ts';
import { retain } from './retention/retain.ts';
import { everySoOften } from './rounds.ts';
import { checkDays } from './schedule/check-days.ts';

/** What is away is looked at so often: those who wait for it go on soon after its return. */
const LOOK_MS = 1_000;
/** What was forgotten is asked for again at least this often. */
const SWEEP_SECONDS = 10;
/** When nothing was left to drop it is looked again so much later: it is dates that make things old. */
const RETAIN_MS = 15 * 60_000;

export type ProducerContext = PollContext &
  Asking & {
    readonly archiveDir: string;
    readonly sources: readonly Source[];
    readonly statementSources: readonly StatementSource[];
    readonly retention: Retention;
  };

/**
 * Looks for reports and asks again for what was forgotten, until told to stop. Each source has a round of its own, so that a
 * server that hangs keeps only its own reports waiting. One bad round does not end the service.
 */
export async function produce(context: ProducerContext, stop: AbortSignal): Promise<void> {
  const polls = context.sources.map((source) => pollSource(source, context, stop));
  const statements = context.statementSources.map((source) => pollStatements(source, context, stop));
  await Promise.all([
    ...polls,
    ...statements,
    sweepAndCheck(context, stop),
    lookForAway(context, stop),
    dropOld(context, stop),
  ]);
}

/** Asks for the days that became due, and for whatever was forgotten. */
function sweepAndCheck(context: ProducerContext, stop: AbortSignal): Promise<void> {
  const { sources, log } = context;
  const seconds = Math.min(SWEEP_SECONDS, ...sources.map(({ pollSeconds }) => pollSeconds));
  const round = async () => {
    const unchecked = await checkDays(context, sources).then(
      () => null,
      (error: Error) => error,
    );
    await noteNewDay(context.database.db);
    await sweep({ ...context, stop });
    if (unchecked) throw unchecked;
  };
  const tried = () =>
    round().catch((error: Error) => log.error({ error: error.message }, 'sweep failed; retrying in the next one'));
  return everySoOften(() => seconds * 1_000, stop, tried);
}

/** Sees when what was away is back. */
function lookForAway(context: ProducerContext, stop: AbortSignal): Promise<void> {
  const look = lookerAtAway({
    ...context,
    tellBack: (what, seconds) => context.log.warn({ what, seconds }, 'available again'),
  });
  // The sweep says what is wrong with the book.
  return everySoOften(
    () => LOOK_MS,
    stop,
    () => look().catch(() => {}),
  );
}

/** Drops what is older than the settings keep it. */
function dropOld({ database, archiveDir, log, retention }: ProducerContext, stop: AbortSignal): Promise<void> {
  let nextAtMs = 0;
  const round = async () => {
    if (Date.now() < nextAtMs) return;
    try {
      if (!(await retain({ database, archiveDir, log, stop }, retention))) nextAtMs = Date.now() + RETAIN_MS;
    } catch (error) {
      log.error({ error: (error as Error).message }, 'retention failed; retrying in the next round');
    }
  };
  return everySoOften(() => 1_000 * SWEEP_SECONDS, stop, round);
}
