/** What a provider does to those who do not come for their files in time is told before it does it. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { openDatabase } from '../../src/adapters/postgres/connection.ts';
import { lateFiles, recordUse, unusedDays } from '../../src/producers/discovery/expiry.ts';
import { warnerOf } from '../../src/producers/discovery/expiry-warnings.ts';
import type { ListedFile } from '../../src/producers/discovery/list-files.ts';
import { query } from '../support/book.ts';
import { filesAt } from '../support/context.ts';
import { freshDatabase } from '../support/postgres.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const start = Date.parse('2026-03-01T00:00:00Z');

const database = await openDatabase(await freshDatabase(), 2);
after(() => database.close());
const { db } = database;
const settings = { host: 'h', fallbackHost: null, port: 22, username: 'u', password: '', privateKey: null };
const at = { sftp: { ...settings, passphrase: null, hostKeySha256: [] } };
const source = { ...filesAt('/'), name: 'server', at };
const file = (name: string, ageDays: number): ListedFile => ({
  path: `/out/${name}`,
  file: `/out/${name}`,
  isNamed: false,
  merchantId: 'M1',
  date: null,
  kinds: null,
  sizeBytes: 9,
  modifiedAtMicros: BigInt(start - ageDays * DAY_MS) * 1000n,
});
const OLD = 'settlementItems_USD_B1_000.csv';

const said: object[] = [];
const log = { warn: (fields: object, _: string) => void said.push(fields) };
const saidNow = () => said.splice(0);

test('a report that is not fetched is late two days before it may be deleted', async () => {
  const late = async (files: ListedFile[], of = source) =>
    (await lateFiles(db, of, files, start)).map(({ file, goesAtMs }) => [file.path, (goesAtMs - start) / DAY_MS]);
  const files = [file('settlementItems_USD_B2_000.csv', 4), file(OLD, 6), file('notes.txt', 6), file('a.zip', 9)];
  assert.deepEqual(await late(files), [
    ['/out/a.zip', -2],
    [`/out/${OLD}`, 1],
  ]);
  assert.deepEqual(await late(files, { ...source, keepDays: 30 }), []);
  assert.deepEqual(await late(files, { ...source, at: { folder: '/out' } } as never), []);
  await query(
    database.url,
    `with m as (insert into merchant (id) values ('M1') returning no),
          b as (insert into batch (merchant_no, batch_id, currency) select no, 'B1', 'USD' from m returning no),
          r as (insert into report (batch_no, kind, name, seq) select no, 'settlementDetails', 'B1', 0 from b returning no)
     insert into delivery (report_no, source, rules, path, file, size_bytes, modified_at, found_at, state)
     select no, 'server', '{}', '/out/${OLD}', 'B1', 9, now(), timestamptz '2026-01-01T00:00Z', 'found' from r`,
  );
  assert.equal((await late(files)).length, 2, 'it was found, but not read');
  await query(database.url, `update delivery set state = 'refused'`);
  assert.deepEqual(await late(files), [['/out/a.zip', -2]]);
});

test('the log tells of a late file once, and again when it was written anew', async () => {
  const warner = warnerOf(source, db, log, () => start);
  const late = await lateFiles(db, source, [file('a.zip', 9)], start);
  await warner.listed(late);
  await warner.listed(late);
  assert.deepEqual(saidNow(), [{ source: 'server', file: '/out/a.zip', goesAt: '2026-02-27T00:00:00.000Z' }]);
  await warner.listed(await lateFiles(db, source, [file('a.zip', 6)], start));
  assert.equal(saidNow().length, 1);
});

test('that the server let us in is written down once an hour', async () => {
  let now = start;
  const warner = warnerOf(source, db, log, () => now);
  const usedAt = async () => (await query<{ at: Date }>(database.url, 'select used_at as at from source_use'))[0]!.at;
  await warner.listed([]);
  for (now += HOUR_MS - 1; now <= start + HOUR_MS; now++) {
    await warner.listed([]);
    assert.equal((await usedAt()).getTime(), now < start + HOUR_MS ? start : now);
  }
  await recordUse(db, 'server', start);
  assert.equal((await usedAt()).getTime(), start + HOUR_MS, 'an older time changes nothing');
});

test('an account that is not used is warned of once a day, from 60 days on', async () => {
  let now = start + HOUR_MS;
  const warner = warnerOf(source, db, log, () => now);
  const days: number[] = [];
  for (const after of [0, 59, 60, 60.5, 61]) {
    now = start + HOUR_MS + after * DAY_MS;
    await warner.account();
    days.push(...saidNow().map((fields) => (fields as { days: number }).days));
  }
  assert.deepEqual(days, [60, 61]);
  await warner.listed([]);
  now += DAY_MS;
  await warner.account();
  assert.deepEqual(saidNow(), []);
  assert.equal(await unusedDays(db, 'never', now), null);
});
