import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import pg from 'pg';
import { openDatabase } from '../../src/adapters/postgres/connection.ts';
import { importLedger } from '../../src/producers/records/import-ledger.ts';
import { query, temporaryFolder } from '../support/book.ts';
import { freshDatabase } from '../support/postgres.ts';

// What stands in the table after each of many files, against a map that a loop of four lines keeps.

const HEADER = 'requestId,type,amount,currency,status,occurredAt,merchantId,originalRequestId,orderId,source';
type Line = { readonly key: string; readonly text: string };

/** A generator of numbers below `below`, the same for a seed. */
function dice(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return Math.floor((state / 0x80000000) * below);
  };
}

/** Lines of a small world of ids, so that files meet: new, the same, other content; the same key twice in a file. Some take thought to read. */
function linesOf(roll: (below: number) => number, count: number): Line[] {
  return Array.from({ length: count }, () => {
    const id = `r-${roll(200)}`;
    const type = ['PAYMENT', 'REFUND'][roll(2)]!;
    const merchant = ['M1', 'M2'][roll(2)]!;
    const amount = ['1.00', '2.50', '2.500'][roll(3)]!;
    const time = ['2026-01-04T10:00:00Z', '2026-01-04 10:00:00.5+00:00', '2026-01-04T11:00+01:00'][roll(3)]!;
    const original = roll(5) === 0 ? `r-${roll(200)}` : '';
    const order = ['', 'o-1', 'é'][roll(3)]!;
    return {
      key: `${merchant} ${type} ${id}`,
      text: `${id},${type},${amount},USD,SUCCESS,${time},${merchant},${original},${order},`,
    };
  });
}

/** What a line says, as text: amounts and times that are the same are the same text. */
const meaningOf = (text: string): string =>
  text
    .replace('2.500', '2.50')
    .replace('2026-01-04T11:00+01:00', '2026-01-04T10:00:00Z')
    .replace('2026-01-04 10:00:00.5+00:00', '2026-01-04T10:00:00.5Z');

const INDEXES = `select indexdef from pg_indexes where tablename = 'record' order by 1`;
const RECORDS = `
  select m.id || ' ' || r.type || ' ' || r.request_id as key,
         concat_ws(',', r.request_id, r.type, (r.amount_minor / 100.0)::numeric(10, 2), r.currency, r.status,
                   rtrim(rtrim(to_char(r.occurred_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS'), '0'), '.') || 'Z', m.id,
                   coalesce(r.original_request_id, ''), coalesce(r.order_id, ''), coalesce(r.source, '')) as text,
         r.key_hash = hashtextextended(r.request_id, 0) as is_hashed
    from record r join merchant m on m.no = r.merchant_no`;

for (const seed of [1, 2, 3]) {
  test(`after every file stands what the last file with a key says, and the counts are those of a map (seed ${seed})`, async () => {
    const url = await freshDatabase();
    const indexes = await query(url, INDEXES);
    const database = await openDatabase(url, 2);
    const path = join(temporaryFolder(), 'records.csv');
    const roll = dice(seed);
    const world = new Map<string, string>();
    try {
      for (let file = 0; file < 8; file++) {
        const lines = linesOf(roll, [60, 1, 40, 150][file % 4]!);
        const expected = { records: lines.length, inserted: 0, changed: 0, refused: 0 };
        const inFile = new Map<string, string>();
        for (const { key, text } of lines) {
          const meaning = meaningOf(text);
          const first = inFile.get(key);
          if (first !== undefined && first !== meaning) expected.refused++;
          if (first !== undefined) continue;
          inFile.set(key, meaning);
          if (!world.has(key)) expected.inserted++;
          else if (world.get(key) !== meaning) expected.changed++;
          world.set(key, meaning);
        }
        writeFileSync(path, [HEADER, ...lines.map(({ text }) => text), ''].join('\n'));
        assert.deepEqual(await importLedger(database, path, null, () => {}), expected, `file ${file}`);
        const again = await importLedger(database, path, null, () => {});
        assert.deepEqual(again, { ...expected, inserted: 0, changed: 0 }, `file ${file} again`);
        const found = await query<{ key: string; text: string; is_hashed: boolean }>(url, RECORDS);
        assert.ok(found.every((record) => record.is_hashed));
        assert.deepEqual(new Map(found.map(({ key, text }) => [key, text])), world, `file ${file}`);
        assert.equal(found.length, world.size, 'each key once');
      }
      assert.deepEqual(await query(url, INDEXES), indexes, 'a first import leaves the indexes that it found');
    } finally {
      await database.close();
    }
  });
}

test('a large import makes the indexes anew; beside somebody who reads or publishes it waits for nobody; it leaves the same', async () => {
  const url = await freshDatabase();
  const indexes = await query(url, INDEXES);
  const database = await openDatabase(url, 2);
  const other = new pg.Client({ connectionString: url });
  await other.connect();
  const path = join(temporaryFolder(), 'records.csv');
  /** Ids from one number up to another; of every tenth of the file before the amount is another one. */
  const run = async (from: number, to: number, known: number) => {
    const lines = Array.from({ length: to - from }, (_, at) => {
      const amount = from + at < known && at % 10 === 0 ? '2.00' : '1.00';
      return `r-${from + at},PAYMENT,${amount},USD,SUCCESS,2026-01-04T10:00:00Z,M1,,,`;
    });
    writeFileSync(path, [HEADER, ...lines, ''].join('\n'));
    return importLedger(database, path, null, () => {});
  };
  const files = () =>
    query(url, `select relname, relfilenode from pg_class where relname like 'record\\_%' and relkind = 'i'`);
  try {
    await other.query('begin; select count(*) from record');
    assert.equal((await run(0, 1_500, 0)).inserted, 1_500);
    await other.query('commit');
    for (const held of [
      null,
      'select count(*) from record',
      `select pg_advisory_xact_lock(7355609, no) from merchant`,
    ]) {
      await query(url, "delete from record where request_id >= 'r-2'");
      await query(url, 'analyze record');
      const [{ count }] = (await query<{ count: number }>(url, 'select count(*)::int from record')) as [
        { count: number },
      ];
      const before = await files();
      if (held) await other.query(`begin; ${held}`);
      const imported = await run(0, 5_000, 0);
      assert.deepEqual(imported, { records: 5_000, inserted: 5_000 - count, changed: 0, refused: 0 });
      if (held) await other.query('commit');
      assert.equal(JSON.stringify(await files()) === JSON.stringify(before), held !== null);
      assert.deepEqual(await query(url, INDEXES), indexes);
    }
    const changed = await run(0, 5_000, 5_000);
    assert.deepEqual(changed, { records: 5_000, inserted: 0, changed: 500, refused: 0 });
    const [found] = await query(
      url,
      `select count(*)::int, count(*) filter (where amount_minor = 200)::int as changed from record`,
    );
    assert.deepEqual(found, { count: 5_000, changed: 500 });
  } finally {
    await other.end();
    await database.close();
  }
});

test('what belongs to nobody is refused by line, and the first name is that of the only merchant', async () => {
  const url = await freshDatabase();
  const database = await openDatabase(url, 2);
  const path = join(temporaryFolder(), 'records.csv');
  const record = (id: string, merchant: string) => `${id},PAYMENT,1.00,USD,SUCCESS,2026-01-04T10:00:00Z,${merchant},,,`;
  const run = async (...lines: string[]) => {
    writeFileSync(path, [HEADER, ...lines, ''].join('\n'));
    const refused: [number, string][] = [];
    const imported = await importLedger(database, path, null, (line, reason) => refused.push([line, reason]));
    return { ...imported, lines: refused.map(([line]) => line), reasons: refused.map(([, reason]) => reason) };
  };
  const merchants = () => query(url, 'select id, placeholder from merchant order by no');
  try {
    assert.equal((await run(record('a', ''))).inserted, 1);
    assert.deepEqual(await merchants(), [{ id: 'default', placeholder: true }]);
    assert.equal((await run(record('b', ''), record('c', 'M2'), record('d', 'M1'))).inserted, 2);
    assert.deepEqual(await merchants(), [
      { id: 'M1', placeholder: false },
      { id: 'M2', placeholder: false },
    ]);
    const { inserted, lines, reasons } = await run(record('e', 'M1'), record('f', ''), record('g', 'M2'));
    assert.deepEqual({ inserted, lines }, { inserted: 2, lines: [3] });
    assert.match(reasons[0]!, /merchantId/);
  } finally {
    await database.close();
  }
});

test('the same bytes again are known by their hash, until a record is changed; what is told of a file is told each time', async () => {
  const url = await freshDatabase();
  const database = await openDatabase(url, 2);
  const folder = temporaryFolder();
  const line = (id: string, amount: string, merchant = '') =>
    `${id},PAYMENT,${amount},USD,SUCCESS,2026-01-04T10:00:00Z,${merchant},,,`;
  const files = {
    first: [line('a', '1.00'), line('b', '1.00')],
    other: [line('a', '2.00')],
    refused: [line('a', '2.00'), line('b', 'much')],
    contradicting: [line('a', '2.00'), line('a', '3.00')],
    wrapped: [line('="a"', '2.00')],
    ofTwo: [line('a', '2.00', 'M1'), line('a', '2.00', 'M2')],
  };
  const run = async (name: keyof typeof files, given: string | null = null) => {
    const path = join(folder, `${name}.csv`);
    writeFileSync(path, [HEADER, ...files[name], ''].join('\n'));
    const told: string[] = [];
    const say = (line: number, reason: string) => told.push(`${line} ${reason}`);
    const { records, inserted, changed, refused } = await importLedger(database, path, given, say, (note) =>
      told.push(note),
    );
    return [records, inserted, changed, refused, told.length];
  };
  const kept = async () => (await query(url, 'select from imported_file')).length;
  const amountOfA = async () =>
    (
      await query<{ a: string }>(
        url,
        `select string_agg(amount_minor::text, ' ') as a from record where request_id = 'a'`,
      )
    )[0]!.a;
  try {
    assert.deepEqual([await run('first', 'M1'), await kept()], [[2, 2, 0, 0, 0], 1]);
    assert.deepEqual([await run('first'), await amountOfA()], [[2, 0, 0, 0, 0], '100']);
    assert.deepEqual([await run('other'), await kept()], [[1, 0, 1, 0, 0], 1]);
    // What it said is no longer there.
    assert.deepEqual([await run('first'), await amountOfA()], [[2, 0, 1, 0, 0], '100']);
    assert.deepEqual(await run('other'), [1, 0, 1, 0, 0]);
    for (const name of ['refused', 'refused', 'contradicting', 'contradicting'] as const)
      assert.deepEqual([await run(name), await amountOfA()], [[2, 0, 0, 1, 1], '200'], name);
    for (let times = 0; times < 2; times++) assert.deepEqual(await run('wrapped'), [1, 0, 0, 0, 1]);
    // None of them said anything new: the file of before still says what is there.
    assert.deepEqual([await run('other'), await kept()], [[1, 0, 0, 0, 0], 1]);
    // It adds one and changes none: what was read before is known as ever.
    assert.deepEqual([await run('ofTwo'), await kept()], [[2, 1, 0, 0, 0], 2]);
    assert.deepEqual([await run('ofTwo'), await kept()], [[2, 0, 0, 0, 0], 2]);
    // From here on nobody knows whose records those are that name no merchant.
    assert.deepEqual(await run('other'), [1, 0, 0, 1, 1]);
    assert.deepEqual([await run('other', 'M1'), await kept()], [[1, 0, 0, 0, 0], 2]);
    for (let times = 0; times < 2; times++) assert.deepEqual(await run('other'), [1, 0, 0, 1, 1]);
    assert.deepEqual(await run('other', 'M2'), [1, 0, 0, 0, 0]);
    assert.equal(await amountOfA(), '200 200');
    for (const change of [
      `update record set amount_minor = 1 where request_id = 'a'`,
      `delete from record`,
      'truncate record',
    ]) {
      await query(url, change);
      assert.equal(await kept(), 0, change);
      const [, inserted, changed] = await run('ofTwo');
      assert.equal(inserted! + changed!, 2, change);
    }
  } finally {
    await database.close();
  }
});
