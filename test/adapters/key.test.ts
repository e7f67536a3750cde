import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import pg from 'pg';
import { hash, hashBytes } from '../../src/domain/report/key.ts';
import { freshDatabase } from '../support/postgres.ts';

/** Signed, as Postgres shows it. */
function hashOf(text: string, seed: number): bigint {
  const bytes = Buffer.from(text);
  hashBytes(bytes, 0, bytes.length, seed);
  return BigInt.asIntN(64, (BigInt(hash.high) << 32n) | BigInt(hash.low));
}

test('a key has the same hash here and in Postgres, of any length, in any script, under both seeds', async () => {
  const units = fc.constantFrom('grapheme' as const, 'binary' as const);
  const anyText = units.chain((unit) => fc.string({ unit, maxLength: 60 })).map((text) => text.replaceAll('\0', ''));
  const texts = [
    ...fc.sample(anyText, 3_000),
    // Every length around the blocks of twelve bytes, where the remainder is mixed in.
    ...Array.from({ length: 50 }, (_, length) => 'abcdefghijklmnopqrstuvwxyz'.repeat(2).slice(0, length)),
    '2026010112345678901234567890',
    '支付宝',
    'é',
  ].filter((text) => text.isWellFormed());
  const client = new pg.Client({ connectionString: await freshDatabase() });
  await client.connect();
  try {
    const { rows } = await client.query(
      'select t, hashtextextended(t, 0)::text as own, hashtextextended(t, 1)::text as other from unnest($1::text[]) t',
      [texts],
    );
    assert.equal(rows.length, texts.length);
    for (const { t, own, other } of rows) {
      assert.deepEqual([hashOf(t, 0), hashOf(t, 1)], [BigInt(own), BigInt(other)], JSON.stringify(t));
    }
  } finally {
    await client.end();
  }
});

test('only the named bytes are hashed', () => {
  const bytes = Buffer.from('before|key|after');
  hashBytes(bytes, 7, 10);
  const { high, low } = hash;
  hashBytes(Buffer.from('key'), 0, 3);
  assert.deepEqual([high, low], [hash.high, hash.low]);
});
