import { setTimeout as delay } from 'node:timers/promises';
import { isDatabaseAway } from '../../adapters/postgres/connection.ts';
import { retryDelayMs } from '../../jobs.ts';
import { JobFailed } from './failure.ts';

/** Where jobs wait while the database is away: one asks for all of them. */
export type Gate = {
  /**
   * Does it, and again each time that the database is back, while it fails because that is away. It must be harmless when done
   * twice. False: it was told to stop before it could be done.
   */
  pass(act: () => Promise<void>): Promise<boolean>;
};

/** It is asked at least this often, so that work goes on soon after its return. */
const LONGEST_LOOK_MS = 2_000;
/** So long is waited at most where it answers, and nothing can be done all the same: its disk is full, for one. */
const LONGEST_PAUSE_MS = 20_000;

export function openGate({
  ping,
  stop,
  tellAway,
  tellBack,
}: {
  /** Throws while the database is away. */
  readonly ping: () => Promise<void>;
  readonly stop: AbortSignal;
  readonly tellAway: (error: Error) => void;
  readonly tellBack: (seconds: number) => void;
}): Gate {
  let coming: Promise<void> | null = null;
  let failures = 0;

  const untilBack = async (error: Error): Promise<void> => {
    const sinceMs = performance.now();
    tellAway(error);
    let pauseMs = Math.min(LONGEST_PAUSE_MS, retryDelayMs(++failures));
    for (let looks = 1; ; looks++) {
      await delay(pauseMs, undefined, { signal: stop }).catch(() => {});
      if (stop.aborted) return;
      const isBack = await ping().then(
        () => true,
        () => false,
      );
      if (isBack) break;
      pauseMs = Math.min(LONGEST_LOOK_MS, retryDelayMs(looks));
    }
    tellBack((performance.now() - sinceMs) / 1_000);
  };

  return {
    async pass(act) {
      while (!stop.aborted) {
        try {
          await act();
          failures = 0;
          return true;
        } catch (error) {
          if (!isAway(error)) throw error;
          coming ??= untilBack(error as Error).finally(() => {
            coming = null;
          });
          await coming;
        }
      }
      return false;
    },
  };
}

const isAway = (error: unknown): boolean =>
  isDatabaseAway(error) || (error instanceof JobFailed && error.away?.what === 'database');
