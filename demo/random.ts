export type Random = ReturnType<typeof makeRandom>;

/** mulberry32: the same seed gives the same week, on every machine. */
export function makeRandom(seed: number) {
  let state = seed >>> 0;
  /** From 0 up to, not including, 1. */
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    next,
    /** Both ends included. */
    int: (low: number, high: number): number => low + Math.floor(next() * (high - low + 1)),
    pick: <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)]!,
    chance: (share: number): boolean => next() < share,
    /** Around 1, mostly between a half and two: how prices of one shop are spread. */
    spread: (): number => Math.exp((next() + next() + next() + next() - 2) * 1.4),
  };
}
