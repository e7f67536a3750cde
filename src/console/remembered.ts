/** A result, and when it was looked up. */
export type Looked<T> = { readonly result: T; readonly atMs: number };

/** What is looked up faster is always looked up anew. */
const SLOW_MS = 500;
/** So many times as long as it took a result is shown again. */
const TIMES = 30;
/** An older one is waited for, whoever asks. */
const MOST_MS = 300_000;
const MOST_KEPT = 100;

/**
 * Remembers what took long: over a million discrepancies the first page takes seconds, and is what everybody opens. A result that is too
 * old is shown once more while a new one is looked up; whoever does something clears them all.
 */
export function remembered<T>(now: () => number) {
  const kept = new Map<string, Looked<T> & { readonly tookMs: number }>();
  const underWay = new Map<string, Promise<Looked<T>>>();
  const look = (key: string, work: () => Promise<T>): Promise<Looked<T>> => {
    const begun = underWay.get(key);
    if (begun) return begun;
    const atMs = now();
    const looking = work()
      .then((result) => {
        const tookMs = now() - atMs;
        // Something was done meanwhile: it may not be in there.
        const isOurs = underWay.get(key) === looking;
        if (isOurs && (tookMs < SLOW_MS || kept.size >= MOST_KEPT)) kept.delete(key);
        else if (isOurs) kept.set(key, { result, atMs, tookMs });
        return { result, atMs };
      })
      .finally(() => {
        if (underWay.get(key) === looking) underWay.delete(key);
      });
    underWay.set(key, looking);
    return looking;
  };
  return {
    async get(key: string, work: () => Promise<T>): Promise<Looked<T>> {
      const last = kept.get(key);
      const ageMs = last === undefined ? 0 : now() - last.atMs;
      // A clock that was set back says nothing of the age.
      if (last === undefined || ageMs < 0 || ageMs > MOST_MS) {
        kept.delete(key);
        return look(key, work);
      }
      if (ageMs > TIMES * last.tookMs) void look(key, work).catch(() => {});
      return last;
    },
    clear(): void {
      kept.clear();
      underWay.clear();
    },
  };
}

export type Remembered<T> = ReturnType<typeof remembered<T>>;
