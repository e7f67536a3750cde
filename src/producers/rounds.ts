/** Runs a step, pauses, and so on until told to stop; a step under way is waited for. */
export async function everySoOften(pauseMs: () => number, stop: AbortSignal, step: () => Promise<void>): Promise<void> {
  while (!stop.aborted) {
    await step();
    if (!stop.aborted) await pause(pauseMs(), stop);
  }
}

const pause = (ms: number, stop: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    stop.addEventListener('abort', done, { once: true });
    function done() {
      clearTimeout(timer);
      stop.removeEventListener('abort', done);
      resolve();
    }
  });
