import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compareText, stateOf } from '../../src/domain/discrepancy.ts';

test('text is ordered by code point, null first', () => {
  const ordered = [null, '', 'B', 'a', 'aa', 'b', 'é', '\ue000', 'ﬀ', '😀', '😁'];
  assert.deepEqual(ordered.toReversed().sort(compareText), ordered);
  const bytes = (text: string) => Buffer.from(text, 'utf8');
  // UTF-8 bytes sort as code points do.
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (a, b) => {
      assert.equal(Math.sign(compareText(a, b)), Buffer.compare(bytes(a), bytes(b)));
    }),
  );
});

test('the state of a batch', () => {
  assert.equal(stateOf({ waiting: true, missing: true, open: 1, uncompared: true }), 'waiting');
  assert.equal(stateOf({ waiting: false, missing: true, open: 1, uncompared: true }), 'incomplete');
  assert.equal(stateOf({ waiting: false, missing: false, open: 1, uncompared: true }), 'discrepant');
  assert.equal(stateOf({ waiting: false, missing: false, open: 0, uncompared: true }), 'incomplete');
  assert.equal(stateOf({ waiting: false, missing: false, open: 0, uncompared: false }), 'reconciled');
});
