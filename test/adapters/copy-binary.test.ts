import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { copyIn, openDatabase } from '../../src/adapters/postgres/connection.ts';
import { CopyWriter } from '../../src/adapters/postgres/copy-binary.ts';
import { freshDatabase } from '../support/postgres.ts';

const INT8 = { min: -(2n ** 63n), max: 2n ** 63n - 1n };

const row = fc.record(
  {
    no: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
    small: fc.integer({ min: -(2 ** 15), max: 2 ** 15 - 1 }),
    amount: fc.option(fc.bigInt(INT8)),
    hash: fc.bigInt(INT8),
    // Years 1970 to 2100.
    paidAtMicros: fc.option(fc.bigInt({ min: 0n, max: 4_102_444_800_000_000n })),
    text: fc.option(
      fc.string({ unit: 'binary', maxLength: 300 }).map((text) => text.toWellFormed().replaceAll('\0', '\u2400')),
    ),
  },
  { noNullPrototype: true },
);
type Row = typeof row extends fc.Arbitrary<infer R> ? R : never;

function* encode(rows: readonly Row[]): Generator<Buffer> {
  // So small that it has to grow within rows and hands on many blocks.
  const writer = new CopyWriter(32);
  for (const { no, small, amount, hash, paidAtMicros, text } of rows) {
    writer.beginRow(6);
    writer.int4(no);
    writer.int2(small);
    writer.int8(amount);
    writer.int8Halves(Number((hash >> 32n) & 0xffff_ffffn), Number(hash & 0xffff_ffffn));
    writer.time(paidAtMicros);
    writer.text(text);
    if (writer.length > 500) yield writer.take();
  }
  yield writer.finish();
}

test('what is written in COPY format is what stands in the table', async () => {
  const database = await openDatabase(await freshDatabase(), 1);
  const client = await database.pool.connect();
  try {
    await client.query(
      'create table kept (nth int generated always as identity, no int, small int2, amount int8, hash int8, paid_at timestamptz, text text)',
    );
    const edges: Row[] = [
      { no: 0, small: 0, amount: null, hash: 0n, paidAtMicros: null, text: null },
      { no: 1, small: 1, amount: INT8.min, hash: INT8.min, paidAtMicros: 0n, text: '' },
      {
        no: 2,
        small: 2,
        amount: INT8.max,
        hash: -1n,
        paidAtMicros: 946_684_799_999_999n,
        text: '支付 €\n\t"',
      },
    ];
    const written = [...edges, ...fc.sample(row, 500)];
    const statement = 'copy kept (no, small, amount, hash, paid_at, text) from stdin (format binary)';
    await copyIn(client, statement, encode(written));
    const { rows } = await client.query(
      `select no, small, amount, hash, (extract(epoch from paid_at) * 1000000)::bigint as "paidAtMicros", text from kept order by nth`,
    );
    assert.equal(rows.length, written.length);
    for (const [nth, row] of rows.entries()) assert.deepEqual(row, written[nth]);

    await copyIn(client, statement, encode([]));
    const { rows: count } = await client.query('select count(*) from kept');
    assert.deepEqual(count, [{ count: BigInt(written.length) }]);
  } finally {
    client.release();
    await database.close();
  }
});

test('a block that was handed on stays as it is while the writer goes on', () => {
  const writer = new CopyWriter();
  writer.text('first');
  const block = writer.take();
  const before = Buffer.from(block);
  writer.text('other');
  assert.deepEqual(block, before);
});
