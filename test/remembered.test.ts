import assert from 'node:assert/strict';
import { test } from 'node:test';
import { remembered } from '../src/console/remembered.ts';

test('what took long is shown again, once more when it is old, and never after something was done', async () => {
  let nowMs = 0;
  let looks = 0;
  let tookMs = 1_000;
  const memory = remembered<number>(() => nowMs);
  const get = async (key = 'all') =>
    (
      await memory.get(key, async () => {
        nowMs += tookMs;
        return ++looks;
      })
    ).result;
  assert.deepEqual([await get(), await get(), await get('other')], [1, 1, 2]);
  nowMs += 31_000;
  assert.equal(await get(), 1, 'it is looked up meanwhile');
  await new Promise(setImmediate);
  assert.equal(await get(), 3);
  memory.clear();
  assert.equal(await get(), 4);
  nowMs += 301_000;
  assert.equal(await get(), 5, 'much too old');
  nowMs -= 60_000;
  assert.equal(await get(), 6, 'the clock was set back');
  memory.clear();
  tookMs = 10;
  assert.deepEqual([await get(), await get()], [7, 8], 'what is fast is always new');
});

test('a failure is not remembered, and many who ask at once wait for one look', async () => {
  let looks = 0;
  const memory = remembered<number>(Date.now);
  const fails = () => Promise.reject(new Error('away'));
  await assert.rejects(memory.get('all', fails), /away/);
  const look = async () => ++looks;
  const all = await Promise.all([1, 2, 3].map(() => memory.get('all', look)));
  assert.deepEqual(
    all.map(({ result }) => result),
    [1, 1, 1],
  );
});
