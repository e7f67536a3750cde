import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MATCH_BY } from '../../src/domain/report/row.ts';
import { flagsOf, instalmentsOf, matchByOf } from '../../src/store/stored-row.ts';

test('what the flags of a row say is what was put into them, and a smallint holds it', () => {
  for (const matchBy of MATCH_BY) {
    for (const isDone of [true, false]) {
      for (const [instalments, kept] of [
        [1, 1],
        [2, 2],
        [36, 36],
        [2047, 2047],
        [2048, 2047],
        [999_999_999, 2047],
      ] as const) {
        const flags = flagsOf({ matchBy, isDone, instalments });
        assert.ok(flags >= 0 && flags < 1 << 15, `${flags}`);
        assert.deepEqual([matchByOf(flags), instalmentsOf(flags)], [matchBy, kept]);
      }
    }
  }
});

test('a row that was kept without its number waits for all there could be', () => {
  assert.equal(instalmentsOf(0b101), 2047);
});
