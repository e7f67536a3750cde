import type { RecordMetric } from '../../adapters/metrics/definitions.ts';

/** Runs a stage of a reconciliation, and records how long it took. */
export type Timed = <T>(stage: 'match' | 'total' | 'publish', step: () => Promise<T>) => Promise<T>;

export const stopwatch =
  (recordMetric: RecordMetric): Timed =>
  async (stage, step) => {
    const startedAt = performance.now();
    const result = await step();
    const seconds = (performance.now() - startedAt) / 1_000;
    recordMetric({ name: 'recon_stage_duration_seconds', labels: { stage }, value: seconds });
    return result;
  };
