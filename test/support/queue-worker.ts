/** A worker in a process of its own, to be stopped or killed: it takes one job, says so, and never ends it. */
import { z } from 'zod';
import { openQueue } from '../../src/adapters/queue/queue.ts';
import type { JobKind } from '../../src/jobs.ts';

/** A job for tests of the queue itself. */
export const note: JobKind<{ no: number; attempt: number }> = {
  name: 'note',
  payload: z.strictObject({ no: z.int(), attempt: z.int() }),
  idOf: (p) => `n${p.no}_a${p.attempt}`,
};

if (import.meta.main) {
  const queue = await openQueue(JSON.parse(process.argv[2]!));
  process.on('SIGTERM', () => void queue.close(300));
  queue.work(
    note,
    1,
    ({ no }) => {
      process.stdout.write(`took ${no}\n`);
      return new Promise(() => {});
    },
    () => {},
  );
}
