/**
 * A month of the standing service, from `support/month.ts`, and what its book says each morning at ten. The clock is the test's; what
 * the provider sends of a morning is there at eight.
 *
 * Each line is a batch or day: w waiting, i incomplete, d discrepant, . reconciled. Below it stands what is told of it, with what is
 * reported and recorded, and the part and line on which it is told.
 */
import assert from 'node:assert/strict';
import { cpSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { writeSheet } from '../demo/sheet.ts';
import type { Database } from '../src/adapters/postgres/connection.ts';
import { batchesOf, type DiscrepancyView, openDiscrepancies } from '../src/views/batches/batches.sql.ts';
import { stateOfBatch } from '../src/views/batches/batches.ts';
import type { RevisedRow } from '../src/views/restatements/history.ts';
import { checkBook, digestsOf, query, sameDigests } from './support/book.ts';
import { CALENDAR, MARCH, type Morning } from './support/month.ts';
import { type Mornings, startMornings } from './support/morning.ts';
import { settlestream } from './support/settlestream.ts';

const MORNINGS = `
                                                                          1 1 1 1 1 1 1 1 1 1 2 2 2 2 2 2 2 2 2 2 3
                                                          2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0
2026-03-02                                                  . . . . . . . . . . . . . . . . . . . . . . . . . . . .
2026-03-03                                                    d d . . . . . . . . . . . . . . . . . . . . . . . . .
  status_mismatch p03c SUCCESS/PENDING on 000:4               x x
2026-03-04                                                      d . . . . . . . . . . . . . . . . . . . . . . . . .
  unknown_transaction p04b 100.00 on 000:3                      x
2026-03-05                                                        i i . . . d . . . . . . . . . . . . . . . . . . .
  missing_report                                                  x x
  unsettled_transaction p05b 100.00                                         x
2026-03-06                                                          . . . . . d d d d . . . . . . . . . . . . . . .
  unsettled_transaction p06a 100.00                                           x
  unsettled_transaction p06b 100.00                                           x x x x
2026-03-07                                                            . . . . d d d d . . . . . . . . . . . . . . .
  unsettled_transaction p07a 100.00                                           x x x x
2026-03-09                                                                . . . . . . . . . . . . . . . . . . . . .
2026-03-10                                                                  . . . . . . . . . . . . . . . . . . . .
2026-03-11                                                                    . . . . . . . . d d d d . . . . . . .
  amount_mismatch p11a 100.00/100.50 on 000:2                                                 x x x x
2026-03-12                                                                      . . . . . . . . . . . . . . . . . .
2026-03-13                                                                        . . . . d d d d d . . . . . . . .
  unsettled_transaction p13a 100.00                                                       x x x x x
  unsettled_transaction r13 50.00                                                         x x x x x
2026-03-16                                                                              . . . . . d d d d d . . . .
  unreported_transaction p16x 100.00                                                              x x x x x
  unsettled_transaction p16x 100.00                                                               x x x x x
2026-03-17                                                                                i . . . . . . . . . . . .
  missing_part 001                                                                        x
  unreported_transaction p17b 100.00                                                      x
2026-03-18                                                                                  . . . . . . . . . . . .
2026-03-19                                                                                    . . . . d d d d d d d
  unsettled_transaction p19b 100.00                                                                   x x x x x x x
2026-03-23                                                                                            d d d d . . .
  unreported_transaction p23b 100.00                                                                  x x x x
2026-03-24                                                                                              . . . . . .
F27                                                       . . . . . . . . . . . . . . . . . . . . . . . . . . . . .
S04                                                           w . . . . . . . . . . . . . . . . . . . . . . . . . .
S05                                                               . . . . . . . . . . . . . . . . . . . . . . . . .
S06                                                                 w w i i i . . . . . . . . . . . . . . . . . . .
  missing_summary                                                       x x x
S09                                                                       w i . . . . . . . . . . . . . . . . . . .
  missing_part 001                                                          x
S11                                                                                   . . . . . . . . . . . . . . .
S12                                                                             . . . d d d d d d d d d d d d d d d
  settled_twice p06a S12/S11 on 000:4                                                 x x x x x x x x x x x x x x x
S13                                                                               . . . . . . d d d d . . . . . . .
  amount_mismatch p11a 100.00/100.50 on 000:2                                                 x x x x
S16                                                                                     d d . . . . . . . . . . . .
  amount_mismatch p12a 90.00/100.00 on 000:2                                            x x
  net_mismatch p12b 97.00/98.00 on 000:3                                                x x
  summary_mismatch settlementAmount 125.00/136.00                                       x x
S17                                                                                                 d d d d d d d d
  over_refunded p03a 120.00/100.00 on 000:3                                                               x x x x x
  over_refunded p03a 170.00/100.00 on 000:3                                                         x x x
  settled_twice p11b S17/S13 on 000:4                                                               x x x x x x x x
S18                                                                                         d d d d d d d d d d d d
  over_refunded p03a 120.00/100.00 on 000:3                                                 x x x x
  settled_twice p11b S18/S13 on 000:5                                                       x x x x
  settled_twice p11b S18/S17 on 000:5                                                               x x x x x x x x
S19                                                                                           d d d d d . . . . . .
  over_refunded p02a 140.00/100.00 on 000:3                                                     x x x x
  over_refunded p02a 140.00/100.00 on portal:3                                                x
  summary_mismatch feeAmount -7.00/-6.00                                                      x
  summary_mismatch settlementAmount 193.00/194.00                                             x
S20                                                                                             d d . . . . . . . .
  summary_mismatch count 1/2                                                                    x x
  summary_mismatch feeAmount -2.00/-4.00                                                        x x
  summary_mismatch settlementAmount 98.00/196.00                                                x x
S23                                                                                                   i . . . . . .
  missing_summary                                                                                     x
S24                                                                                                     . . . . . .
S25                                                                                                       d d . . .
  settled_not_reported p23b 100.00 on 000:3                                                               x x
S26                                                                                                         . . . .`;

const month = await startMornings(CALENDAR);
after(() => month.close());

const SIGNS = { waiting: 'w', incomplete: 'i', discrepant: 'd', reconciled: '.' } as const;

/** What the table says of a morning: a sign for each line that has one. */
function expectedOn(day: string): Record<string, string> {
  const [tens, units, ...lines] = MORNINGS.split('\n').slice(1);
  const at = [...units!].findIndex((unit, column) => `${tens![column]!.trim() || 0}${unit}` === day);
  let batch = '';
  const signs = lines.map((line): [string, string] => {
    const label = line.slice(0, units!.indexOf('2')).trimEnd();
    if (!label.startsWith(' ')) batch = label;
    return [label === batch ? batch : `${batch} ${label.trim()}`, line[at] ?? ' '];
  });
  return Object.fromEntries(signs.filter(([, sign]) => sign !== ' ').sort());
}

/** What the book says, or said at a time, in the same form. */
async function saidBy({ db }: Database, asOf?: string): Promise<Record<string, string>> {
  const batches = await batchesOf(db, { asOf });
  const told = await openDiscrepancies({ asOf }).execute(db);
  const signs = [
    ...batches.map((batch) => [batch.batchId ?? batch.day!, SIGNS[stateOfBatch(batch)]]),
    ...(told.rows as DiscrepancyView[]).map((one) => [lineOf(one), 'x']),
  ];
  return Object.fromEntries(signs.sort());
}

function lineOf({
  kind,
  settlementBatchId,
  transactionDate,
  requestId,
  field,
  reported,
  recorded,
  file,
  line,
}: DiscrepancyView) {
  const part = file?.includes('SETTLEMENT_DETAIL') ? 'portal' : file?.match(/_(\d{3})\.csv$/)?.[1];
  const said = [
    settlementBatchId ?? transactionDate,
    kind,
    requestId,
    kind === 'summary_mismatch' ? field : null,
    [reported, recorded].filter((amount) => amount !== null).join('/'),
    requestId !== null && line !== null ? `on ${part}:${line}` : null,
  ];
  return said.filter(Boolean).join(' ');
}

/** What comes on a morning, and two looks: when it has come, and when nothing more is on its way. */
async function live(
  { arrive, record, at, reports }: Mornings,
  { day, records = [], files = {}, workbooks = {} }: Morning,
) {
  if (records.length > 0) await record(...records);
  arrive(files);
  for (const [name, cells] of Object.entries(workbooks)) await writeSheet(join(reports, name), cells, new Date(0));
  await at(`2026-03-${day}T08:00:00+08:00`);
  await at(`2026-03-${day}T10:00:00+08:00`);
}

const url = month.database.url;
const now = async () =>
  (
    await query<{ now: string }>(
      url,
      `select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as now`,
    )
  )[0]!.now;
/** When the test looked at each morning, by the database's clock, and the digests that it saw. */
const looks = new Map<string, { time: string; digests: Awaited<ReturnType<typeof digestsAt>> }>();

/** The digest of each batch's run, now or at a time. */
async function digestsAt({ db }: Database, asOf?: string) {
  const batches = await batchesOf(db, { asOf });
  return Object.fromEntries(batches.map(({ batchId, day, digest }) => [batchId ?? day, digest]));
}

suite('each morning every batch and day is what it should be', () => {
  for (const morning of MARCH) {
    test(`March ${morning.day}`, async () => {
      await live(month, morning);
      assert.deepEqual(await saidBy(month.database), expectedOn(morning.day));
      looks.set(morning.day, { time: await now(), digests: await digestsAt(month.database) });
    });
  }
});

suite('when the month is over', () => {
  test('each morning is still what it was', async () => {
    assert.equal(looks.size, MARCH.length);
    for (const [day, { time, digests }] of looks) {
      assert.deepEqual(await saidBy(month.database, time), expectedOn(day), day);
      assert.deepEqual(await digestsAt(month.database, time), digests, day);
    }
    const { time } = looks.get('18')!;
    const { json } = await settlestream(['show', 'S16', '--as-of', time, '--json'], {
      env: { DATABASE_URL: url },
    });
    assert.equal(json.digest, looks.get('18')!.digests['S16']);
    assert.deepEqual(
      [json.state, json.details.settlementAmount, json.discrepancies.length],
      ['discrepant', '125.00', 3],
    );
  });

  test('the restatement of two rows tells what it changed', async () => {
    const { json } = await settlestream(['show', 'S16', '--json', '--rows'], { env: { DATABASE_URL: url } });
    const [{ from, to, added, removed, changed, settlementAmount }, ...more] = json.revisions;
    assert.deepEqual([from, to, added, removed, changed, settlementAmount, more], [1, 2, 0, 0, 2, '11.00', []]);
    assert.deepEqual(
      json.revisedRows.map(({ requestId, before, after }: RevisedRow) => [
        requestId,
        before?.transactionAmount,
        before?.settlementAmount,
        after?.transactionAmount,
        after?.settlementAmount,
      ]),
      [
        ['p12a', '90.00', '88.00', '100.00', '98.00'],
        ['p12b', '100.00', '97.00', '100.00', '98.00'],
      ],
    );
  });

  test('what came twice counted once', async () => {
    const again = await query(
      url,
      `select d.file, d.state, d.revision from delivery d join report r on r.no = d.report_no
        where r.name like '%CARD%' or r.name = 'settlementItems_USD_S13_000' order by d.no`,
    );
    assert.deepEqual(again, [
      { file: 'M1/20260313/settlementItems_USD_S13_000.csv', state: 'closed', revision: 1 },
      { file: 'M1/20260313/settlementItems_USD_S13_000.csv', state: 'duplicate', revision: 1 },
      { file: 'M1/20260318/settlementItems_CARD_USD_S18_000.csv', state: 'duplicate', revision: null },
    ]);
    await checkBook(url);
  });

  test('what goes on in another place, or with other amounts, was first seen when it was', async () => {
    const told = await query<{ batch: string; told: string; day: string }>(
      url,
      `select b.batch_id as batch, x.kind || ' ' || x.request_id as told,
              (select to_char(min(m.day), 'DD') from (values ${[...looks].map(([day, { time }]) => `(date '2026-03-${day}', timestamptz '${time}')`)}) as m(day, seen)
                where x.first_seen_at <= m.seen) as day
         from discrepancy x join batch b on b.no = x.batch_no where x.is_cross_batch group by 1, 2, 3 order by 1, 2, 3`,
    );
    assert.deepEqual(
      told.map(({ batch, told, day }) => `${batch} ${told} since ${day}`),
      [
        'S12 settled_twice p06a since 16',
        'S17 over_refunded p03a since 23',
        'S17 settled_twice p11b since 23',
        'S18 over_refunded p03a since 19',
        'S18 settled_twice p11b since 19',
        'S19 over_refunded p02a since 20',
      ],
    );
  });

  test('fed at once, or backwards and the records last, it comes to the same', async () => {
    const digests = await digestsOf(url);
    for (const order of ['at once', 'backwards'] as const) {
      const other = await startMornings(CALENDAR);
      try {
        await feed(other, order);
        assert.deepEqual(await saidBy(other.database), expectedOn('30'), order);
        sameDigests(await digestsOf(other.database.url), digests);
        await checkBook(other.database.url);
      } finally {
        await other.close();
      }
    }
  });
});

/** Everything that lies there when the month is over, on its last morning. */
async function feed(other: Mornings, order: 'at once' | 'backwards') {
  const directories = readdirSync(join(month.reports, 'M1')).sort().reverse();
  const portions = order === 'at once' ? [directories] : directories.map((directory) => [directory]);
  const record = async () => {
    for (const { records = [] } of MARCH) if (records.length > 0) await other.record(...records);
  };
  if (order === 'at once') await record();
  for (const portion of portions) {
    for (const directory of portion)
      cpSync(join(month.reports, 'M1', directory), join(other.reports, 'M1', directory), { recursive: true });
    await other.at('2026-03-30T08:00:00+08:00');
  }
  if (order === 'backwards') await record();
  await other.at('2026-03-30T10:00:00+08:00');
}
