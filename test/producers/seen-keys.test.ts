import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeenKeys } from '../../src/producers/records/seen-keys.ts';

/** Halves as they come: signed, in any order. */
function* hashes(seed: number, count: number): Generator<readonly [high: number, low: number]> {
  let state = seed;
  const next = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return state;
  };
  for (let no = 0; no < count; no++) yield [next() ^ (no << 4), next()];
}

test('a key that stands there twice is never missed, whatever lies between', () => {
  for (const [seed, at] of [
    [1, 0],
    [2, 99_999],
    [3, 50_000],
  ] as const) {
    const keys = new SeenKeys();
    const all = [...hashes(seed, 100_000)];
    const distinct = new Set(all.map(String)).size;
    for (const [high, low] of all) keys.add(high, low);
    assert.equal(keys.mayRepeat, distinct < all.length, 'the keys of a file are each once');
    keys.add(...all[at]!);
    assert.equal(keys.mayRepeat, true);
  }
});

test('keys that end alike are kept apart', () => {
  const keys = new SeenKeys();
  for (let high = 1; high <= 2_000; high++) keys.add(high, 4_194_303);
  for (let low = 1; low <= 2_000; low++) keys.add(-7, low);
  assert.equal(keys.mayRepeat, false);
  keys.add(77, 4_194_303);
  assert.equal(keys.mayRepeat, true);
});

test('where it cannot know, it says that a key may be there twice', () => {
  const zero = new SeenKeys();
  zero.add(0, 0);
  assert.equal(zero.mayRepeat, true, 'a hash of zero has no place');
  const full = new SeenKeys();
  for (let low = 1; low <= 3_000_001; low++) full.add(1, low);
  assert.equal(full.mayRepeat, true, 'more keys than it has room for');
});
