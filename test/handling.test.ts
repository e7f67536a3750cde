/** What people decide about discrepancies: who may do what, what holds for how long, and what is open after it. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { parse } from 'csv-parse/sync';
import { query, temporaryFolder, writeFiles } from './support/book.ts';
import { freshDatabase } from './support/postgres.ts';
import { settlestream } from './support/settlestream.ts';

// biome-ignore lint/suspicious/noExplicitAny: looked into by name.
type Json = any;
const HEADER =
  'settlementBatchId,transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency';
const dayFromNow = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10);

/** A book with one batch of these amounts; the records say 10.00 of each. */
async function bookOf(amounts: readonly number[], settings: object = {}) {
  const folder = temporaryFolder();
  const url = await freshDatabase();
  const reports = join(folder, 'reports');
  const env = { DATABASE_URL: url, SETTLESTREAM_DATA_DIR: join(folder, 'data'), SETTLESTREAM_PROCESSES: '1' };
  writeFileSync(join(folder, 'settlestream.yaml'), JSON.stringify(settings));
  const call = (...args: string[]) => settlestream(args, { env, cwd: folder });
  const record = (count: number) =>
    writeFiles(folder, {
      'records.csv': [
        'requestId,type,amount,currency,status,occurredAt',
        ...Array.from({ length: count }, (_, at) => `p-${at + 1},PAYMENT,10.00,USD,SUCCESS,2026-01-04T09:00:00+08:00`),
      ],
    });
  const arrive = (rows: readonly number[], before: readonly string[] = []) => {
    const total = rows.reduce((sum, amount) => sum + amount, 0) + 10 * before.length;
    writeFiles(reports, {
      'M1/20260105/settlementItems_USD_B1_000.csv': [
        HEADER,
        ...before.map((id) => `B1,PAYMENT,t-${id},${id},10.00,USD,10.00,USD`),
        ...rows.map(
          (amount, at) => `B1,PAYMENT,t-${at + 1},p-${at + 1},${amount.toFixed(2)},USD,${amount.toFixed(2)},USD`,
        ),
        '<END>',
      ],
      'M1/20260105/settlementSummary_USD_B1_000.csv': [
        'settlementBatchId,summaryType,count,settlementAmountValue,settlementCurrency',
        `B1,TOTAL,${rows.length + before.length},${total.toFixed(2)},USD`,
        '<END>',
      ],
    });
  };
  const reconcile = () => call('reconcile', reports, '--ledger', join(folder, 'records.csv'), '--json');
  record(Math.max(amounts.length, 6));
  arrive(amounts);
  const first = await reconcile();
  const list = async (...args: string[]): Promise<Json[]> =>
    (await call('discrepancies', '--json', ...args)).json.discrepancies;
  return {
    url,
    folder,
    env,
    first,
    call,
    arrive,
    reconcile,
    list,
    batch: async (...args: string[]): Promise<Json> => (await call('batches', '--json', ...args)).json.batches[0],
    show: async (...args: string[]): Promise<Json> => (await call('show', 'B1', '--json', ...args)).json,
    nos: async () => (await list()).map(({ no }) => String(no)),
    handle: (...args: string[]) => call('handle', ...args),
    file: (name: string, lines: readonly string[]) => {
      writeFileSync(join(folder, name), `${lines.join('\n')}\n`);
      return call('handle', '--file', name, '--as', 'ann');
    },
  };
}

suite('what was accepted is no longer open', () => {
  test('it is out of lists, counts, totals and exit codes, and stands apart with its money', async () => {
    const book = await bookOf([11, 12, 10]);
    assert.equal(book.first.code, 1);
    const [one, two] = await book.nos();
    const { code, stdout, stderr } = await book.handle(
      'accept',
      one!,
      '--reason',
      'timing',
      '--text',
      'comes tomorrow',
      '--as',
      'ann',
    );
    assert.equal(code, 0, stderr);
    assert.equal(stdout, '1 handled: now 1 accepted\n');
    assert.deepEqual(await book.nos(), [two]);
    const [accepted] = await book.list('--handling', 'accepted');
    const { at, ...handling } = accepted.handling;
    assert.ok(Date.now() - Date.parse(at) < 60_000, at);
    assert.deepEqual(handling, {
      state: 'accepted',
      assignedTo: null,
      due: null,
      until: null,
      reason: 'timing',
      text: 'comes tomorrow',
      by: 'ann',
      comments: [],
    });
    assert.deepEqual((await book.batch()).accepted, { count: 1, amounts: [{ currency: 'USD', amount: '1.00' }] });
    assert.equal((await book.batch()).state, 'discrepant');
    const between = await book.reconcile();
    assert.equal(between.code, 1);
    assert.equal(between.json.counts.discrepancies, 1);
    assert.deepEqual(between.json.discrepancyTotals, [
      { kind: 'amount_mismatch', currency: 'USD', count: 1, amountAtStake: '2.00' },
    ]);

    await book.handle('accept', two!, '--reason', 'booked', '--text', 'journal 4711', '--as', 'ann');
    const { code: last, json } = await book.reconcile();
    assert.equal(last, 0);
    const [batch] = json.batches;
    assert.equal(batch.state, 'reconciled');
    assert.deepEqual(batch.accepted, { count: 2, amounts: [{ currency: 'USD', amount: '3.00' }] });
    assert.equal(batch.matchedRows, 1, 'what was accepted is no match');
    assert.equal(batch.coverage.discrepant.rows, 2);
    assert.deepEqual(json.discrepancies, []);
    assert.match((await book.call('batches')).stdout, /reconciled, 2 accepted/);
    const shown = await book.show();
    assert.deepEqual(
      shown.discrepancies.map(({ handling }: Json) => handling.state),
      ['accepted', 'accepted'],
    );
    const explained = (await book.call('explain', 'p-1', '--json')).json;
    assert.equal(explained.discrepancies[0].handling.by, 'ann');
    assert.equal(String(explained.discrepancies[0].no), one);
  });

  test('a report that is missing stays missing, whatever is accepted', async () => {
    const folder = temporaryFolder();
    const env = {
      DATABASE_URL: await freshDatabase(),
      SETTLESTREAM_DATA_DIR: join(folder, 'data'),
      SETTLESTREAM_PROCESSES: '1',
    };
    writeFiles(folder, {
      'records.csv': [
        'requestId,type,amount,currency,status,occurredAt',
        'p-1,PAYMENT,10.00,USD,SUCCESS,2026-01-04T09:00:00+08:00',
      ],
      'reports/M1/20260105/settlementItems_USD_B1_000.csv': [HEADER, 'B1,PAYMENT,t-1,p-1,10.00,USD,10.00,USD', '<END>'],
    });
    const call = (...args: string[]) => settlestream(args, { env, cwd: folder });
    await call('reconcile', 'reports', '--ledger', 'records.csv');
    const { discrepancies } = (await call('discrepancies', '--json')).json;
    assert.deepEqual(
      discrepancies.map(({ kind }: Json) => kind),
      ['missing_summary'],
    );
    await call(
      'handle',
      'accept',
      String(discrepancies[0].no),
      '--reason',
      'other',
      '--text',
      'they never send one',
      '--as',
      'ann',
    );
    const { json, code } = await call('reconcile', 'reports', '--json');
    assert.deepEqual([json.batches[0].state, code], ['incomplete', 1]);
  });

  test('it was open before, for whoever looks back', async () => {
    const book = await bookOf([11]);
    const [{ now }] = (await query<{ now: string }>(
      book.url,
      `select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as now`,
    )) as [{ now: string }];
    const [no] = await book.nos();
    await book.handle('accept', no!, '--reason', 'timing', '--text', 'x', '--as', 'ann');
    const [before, after] = [await book.batch('--as-of', now), await book.batch()];
    assert.deepEqual([before.state, before.accepted.count], ['discrepant', 0]);
    assert.deepEqual([after.state, after.accepted.count], ['reconciled', 1]);
    assert.equal((await book.show('--as-of', now)).discrepancies[0].handling, null);
  });
});

suite('actions and their rules', () => {
  test('each leads to its state, and is taken back', async () => {
    const book = await bookOf([11]);
    const [no] = (await book.nos()) as [string];
    const stateAfter = async (...args: string[]) => {
      const { code, stderr } = await book.handle(args[0]!, no, ...args.slice(1), '--as', 'ann');
      assert.equal(code, 0, stderr);
      const { state, assignedTo, due, until, comments } = (await book.show()).discrepancies[0].handling;
      return [state, assignedTo, due, until, comments.length];
    };
    const soon = dayFromNow(5);
    assert.deepEqual(await stateAfter('comment', '--text', 'asked them'), ['open', null, null, null, 1]);
    assert.deepEqual(await stateAfter('assign', '--to', 'bob', '--until', soon), ['assigned', 'bob', soon, null, 1]);
    assert.deepEqual((await book.list('--assigned', 'bob')).length, 1);
    assert.deepEqual((await book.list('--assigned', 'ann')).length, 0);
    assert.deepEqual(await stateAfter('snooze', '--until', soon), ['snoozed', 'bob', soon, soon, 1]);
    assert.equal((await book.list('--handling', 'snoozed')).length, 1);
    assert.equal((await book.list()).length, 1, 'what is snoozed is open');
    assert.deepEqual(await stateAfter('accept', '--reason', 'rounding', '--text', 'x'), [
      'accepted',
      'bob',
      soon,
      null,
      1,
    ]);
    assert.deepEqual(await stateAfter('comment', '--text', 'fine'), ['accepted', 'bob', soon, null, 2]);
    assert.deepEqual(await stateAfter('reopen'), ['assigned', 'bob', soon, null, 2]);
    assert.deepEqual(await stateAfter('assign'), ['open', null, null, null, 2]);
    const { comments } = (await book.show()).discrepancies[0].handling;
    assert.deepEqual(
      comments.map(({ text, by }: Json) => `${by}: ${text}`),
      ['ann: asked them', 'ann: fine'],
    );
  });

  test('what is snoozed is open again on that day', async () => {
    const book = await bookOf([11, 12]);
    const [one, two] = (await book.nos()) as [string, string];
    await book.handle('assign', two, '--to', 'bob', '--as', 'ann');
    await book.handle('snooze', one, two, '--until', dayFromNow(1), '--as', 'ann');
    assert.equal((await book.list('--handling', 'snoozed')).length, 2);
    await query(book.url, 'update handling set until = until - 1');
    assert.deepEqual(
      (await book.list('--handling', 'open')).map(({ no }) => String(no)),
      [one],
    );
    assert.deepEqual(
      (await book.list('--handling', 'assigned')).map(({ no }) => String(no)),
      [two],
    );
  });

  test('what is wrong is told, and nothing is done', async () => {
    const book = await bookOf([11, 12]);
    const [no, other] = (await book.nos()) as [string, string];
    const refused: [string[], RegExp][] = [
      [['accept', no, '--text', 'x'], /--reason: is missing; use one of timing, rounding/],
      [['accept', no, '--reason', 'because', '--text', 'x'], /--reason: because is no reason/],
      [['accept', no, '--reason', 'timing'], /--text: is missing/],
      [['accept', no, '--reason', 'timing', '--text', ' '], /--text: is missing/],
      [['comment', no], /--text: is missing/],
      [['snooze', no], /--until: is missing/],
      [['snooze', no, '--until', dayFromNow(0)], /is not from/],
      [['snooze', no, '--until', dayFromNow(91)], /for at most 90 days/],
      [['snooze', no, '--until', '2026-02-30'], /is not a day/],
      [['assign', no, '--to', 'System'], /is the program itself/],
      [['assign', no, '--to', 'bob', '--until', dayFromNow(-1)], /has passed/],
      [['approve', no], /does not wait for approval/],
      [['reject', no], /nothing to reject/],
      [['reopen', no], /is open already/],
      [['forget', no], /forget is no action; use one of comment, assign/],
      [['comment', no, no, '--text', 'x'], /is named twice/],
      [['comment', no, '--text', 'a\u0007b'], /--text: contains a control character/],
      [['comment', no, '--text', 'x'.repeat(2_001)], /--text: has more than 2000 characters/],
      [['comment', '999999', '--text', 'x'], /999999 does not exist/],
      [['comment', 'B1', '--text', 'x'], /B1: not the number of a discrepancy/],
      [['comment', no, '--text', 'x', '--reason', 'timing'], /--reason: does not belong to comment/],
      [['comment'], /no discrepancy is named/],
      [[], /say what to do/],
    ];
    for (const [args, why] of refused) {
      const { code, stderr } = await book.handle(...args, '--as', 'ann');
      assert.equal(code, 2, `${args.join(' ')}: ${stderr}`);
      assert.match(stderr, why);
    }
    const { code, stderr } = await book.handle(
      'accept',
      no,
      other,
      '999999',
      '--reason',
      'timing',
      '--text',
      'x',
      '--as',
      'ann',
    );
    assert.equal(code, 2);
    assert.match(stderr, /nothing was handled/);
    const [{ count }] = (await query<{ count: string }>(book.url, 'select count(*) as count from handling')) as [
      { count: string },
    ];
    assert.equal(Number(count), 0);
    const [audited] = (await query<{ count: string }>(
      book.url,
      `select count(*) as count from audit_event where what = 'handle'`,
    )) as [{ count: string }];
    assert.equal(Number(audited.count), 0);
  });

  test('nobody acts in the name of the program', async () => {
    const book = await bookOf([11]);
    const [no] = (await book.nos()) as [string];
    for (const name of ['system', 'SYSTEM', ' System ', '']) {
      const { code, stderr } = await book.handle('comment', no, '--text', 'x', '--as', name);
      assert.equal(code, 2, name);
      assert.match(stderr, /--as/);
    }
  });
});

suite('approval', () => {
  const settings = { handling: { approval: { USD: '1.50', JPY: 100 } } };

  test('more at stake than one person may accept waits for another', async () => {
    const book = await bookOf([11, 12], settings);
    const [small, large] = (await book.nos()) as [string, string];
    const { json } = await book.handle(
      'accept',
      small,
      large,
      '--reason',
      'written_off',
      '--text',
      'x',
      '--as',
      'ann',
      '--json',
    );
    assert.deepEqual(
      json.handled.map(({ state }: Json) => state),
      ['accepted', 'pendingApproval'],
    );
    assert.deepEqual(
      (await book.list()).map(({ no }) => String(no)),
      [large],
      'what waits is open',
    );
    for (const name of ['ann', 'Ann', ' ANN ', 'ａｎｎ', 'a\u200bnn']) {
      const { code, stderr } = await book.handle('approve', large, '--as', name);
      assert.equal(code, 2, name);
      assert.match(stderr, /another person must approve it/);
    }
    // Neither a comment nor an owner makes somebody else of who accepted it.
    await book.handle('comment', large, '--text', 'mine', '--as', 'bob');
    await book.handle('assign', large, '--to', 'bob', '--as', 'bob');
    assert.equal((await book.handle('approve', large, '--as', 'ann')).code, 2);
    assert.equal((await book.handle('accept', large, '--reason', 'timing', '--text', 'x', '--as', 'bob')).code, 2);
    assert.equal((await book.handle('approve', large, '--as', 'bob')).code, 0);
    assert.deepEqual(await book.list(), []);
    const [, approved] = (await book.show()).discrepancies;
    assert.deepEqual(
      [approved.handling.state, approved.handling.by, approved.handling.reason],
      ['accepted', 'bob', 'written_off'],
    );
  });

  test('what is rejected is open, and who accepts it then waits again', async () => {
    const book = await bookOf([12], settings);
    const [no] = (await book.nos()) as [string];
    const accept = (name: string) => book.handle('accept', no, '--reason', 'timing', '--text', 'x', '--as', name);
    await accept('ann');
    assert.equal((await book.handle('reject', no, '--text', 'no proof', '--as', 'bob')).code, 0);
    assert.equal((await book.list('--handling', 'open')).length, 1);
    await accept('bob');
    assert.equal((await book.handle('approve', no, '--as', 'bob')).code, 2);
    assert.equal((await book.handle('approve', no, '--as', 'ann')).code, 0);
  });

  test('limits that are none are told with their line', async () => {
    const folder = temporaryFolder();
    const wrong: [object, RegExp][] = [
      [{ USD: '1.505' }, /handling\.approval\.USD.*more decimals than USD/],
      [{ JPY: '10.5' }, /handling\.approval\.JPY.*more decimals than JPY/],
      [{ XXQ: '10' }, /handling\.approval\.XXQ.*not an ISO 4217/],
      [{ USD: 'much' }, /handling\.approval\.USD.*not an amount/],
      [{ USD: '-1' }, /handling\.approval\.USD.*not an amount/],
    ];
    for (const [approval, why] of wrong) {
      writeFileSync(join(folder, 'settlestream.yaml'), JSON.stringify({ handling: { approval } }));
      const { code, stderr } = await settlestream(['handle', 'comment', '1', '--text', 'x'], { cwd: folder });
      assert.equal(code, 2);
      assert.match(stderr, why);
    }
  });
});

suite('what is decided holds as long as the data says the same', () => {
  const accept = ['--reason', 'timing', '--text', 'x', '--as', 'ann'];

  test('a replay keeps it, and so does the same row on another line', async () => {
    const book = await bookOf([11, 12]);
    const [one, two] = (await book.nos()) as [string, string];
    await book.handle('accept', one, ...accept);
    await book.handle('comment', one, '--text', 'seen', '--as', 'bob');
    await book.handle('assign', two, '--to', 'bob', '--as', 'ann');
    assert.equal((await book.call('replay', '--batch', 'B1')).code, 0);
    assert.deepEqual(
      (await book.list('--handling', 'accepted')).map(({ no }) => String(no)),
      [one],
    );
    assert.deepEqual(
      (await book.list('--handling', 'assigned')).map(({ no }) => String(no)),
      [two],
    );
    // A restatement with one more row above.
    book.arrive([11, 12], ['p-6']);
    await book.reconcile();
    const [kept] = await book.list('--handling', 'accepted');
    assert.equal(kept.line, 3);
    assert.notEqual(String(kept.no), one);
    assert.deepEqual([kept.handling.by, kept.handling.comments.length], ['ann', 1]);
    assert.equal((await book.batch()).accepted.count, 1);
    const { code, stderr } = await book.handle('comment', one, '--text', 'x', '--as', 'ann');
    assert.equal(code, 2);
    assert.match(stderr, new RegExp(`discrepancy ${one} was closed at .* as discrepancy ${kept.no}`));
  });

  test('other amounts make it open, with a note in its history, and its owner stays', async () => {
    const book = await bookOf([11, 12, 13]);
    const [one, two, three] = (await book.nos()) as [string, string, string];
    await book.handle('assign', one, '--to', 'bob', '--as', 'ann');
    await book.handle('accept', one, ...accept);
    await book.handle('snooze', two, '--until', dayFromNow(9), '--as', 'ann');
    await book.handle('accept', three, ...accept);
    book.arrive([11.5, 12.5, 13]);
    await book.reconcile();
    const all = (await book.show()).discrepancies;
    assert.deepEqual(
      all.map(({ handling }: Json) => [handling.state, handling.assignedTo, handling.reason, handling.until]),
      [
        ['assigned', 'bob', null, null],
        ['open', null, null, null],
        ['accepted', null, 'timing', null],
      ],
    );
    const notes = await query<{ said: string }>(
      book.url,
      `select said from handling where action = 'lapsed' order by no`,
    );
    assert.deepEqual(
      notes.map(({ said }) => said),
      ['its amounts changed: it was accepted', 'its amounts changed: it was snoozed'],
    );
  });

  test('it ends when the data closes the discrepancy, and what comes back is open', async () => {
    const book = await bookOf([11, 12]);
    const [one] = (await book.nos()) as [string];
    await book.handle('comment', one, '--text', 'seen', '--as', 'bob');
    await book.handle('accept', one, ...accept);
    book.arrive([10, 12]);
    await book.reconcile();
    assert.equal((await book.batch()).accepted.count, 0);
    assert.deepEqual(await book.list('--handling', 'accepted'), []);
    const closed = (await book.list('--closed')).find(({ no }) => String(no) === one);
    assert.equal(closed.handling, null);
    book.arrive([11, 12]);
    await book.reconcile();
    const back = (await book.show()).discrepancies[0];
    assert.deepEqual([back.requestId, back.handling.state, back.handling.comments.length], ['p-1', 'open', 1]);
    assert.equal((await book.batch()).state, 'discrepant');
    const steps = await query<{ action: string }>(book.url, 'select action from handling order by no');
    assert.deepEqual(
      steps.map(({ action }) => action),
      ['comment', 'accept', 'ended', 'returned'],
    );
  });

  test('a dry run changes nothing of it', async () => {
    const book = await bookOf([11]);
    const [one] = (await book.nos()) as [string];
    await book.handle('accept', one, ...accept);
    const before = await query(book.url, 'select * from handling');
    await book.call('replay', '--batch', 'B1', '--tolerance', '0', '--dry-run');
    await book.call('replay', '--batch', 'B1', '--amount-unit', 'minor', '--dry-run');
    assert.deepEqual(await query(book.url, 'select * from handling'), before);
  });

  test('a batch that is withdrawn ends it', async () => {
    const book = await bookOf([11]);
    const [one] = (await book.nos()) as [string];
    await book.handle('accept', one, ...accept);
    await book.call('withdraw', '--report', 'settlementItems_USD_B1_000', '--reason', 'wrong file');
    const current = await query(book.url, 'select * from handling where ended_at is null');
    assert.deepEqual(current, []);
  });
});

suite('many at once, from a spreadsheet', () => {
  test('an export that is filled in comes back', async () => {
    const book = await bookOf([11, 12, 13]);
    const exported = (await book.call('discrepancies', '--format', 'csv')).stdout;
    const [head, ...lines] = parse(exported) as string[][];
    assert.deepEqual(head!.slice(-8), ['no', 'handling', 'assignedTo', 'action', 'reason', 'text', 'to', 'until']);
    const at = (name: string) => head!.indexOf(name);
    const fill = (line: string[], cells: Record<string, string>) => {
      for (const [name, text] of Object.entries(cells)) line[at(name)] = text;
    };
    fill(lines[0]!, { action: 'accept', reason: 'timing', text: 'one, "two"' });
    fill(lines[2]!, { action: 'Assign', to: 'bob', until: dayFromNow(3) });
    const cell = (text: string) => `"${text.replaceAll('"', '""')}"`;
    const { code, stdout, stderr } = await book.file(
      'filled.csv',
      [head!, ...lines].map((line) => line.map(cell).join(',')),
    );
    assert.equal(code, 0, stderr);
    assert.equal(stdout, '2 handled: now 1 accepted, 1 assigned\n');
    const [first, second, third] = (await book.show()).discrepancies;
    assert.deepEqual([first.handling.text, second.handling, third.handling.assignedTo], ['one, "two"', null, 'bob']);
  });

  test('a workbook too', async () => {
    const book = await bookOf([11, 12]);
    const { default: excel } = await import('exceljs');
    const [one, two] = await book.nos();
    const workbook = new excel.Workbook();
    const sheet = workbook.addWorksheet('discrepancies');
    sheet.addRow(['kind', 'no', 'action', 'until', 'text', 'reason']);
    sheet.addRow(['amount_mismatch', Number(one), 'snooze', new Date(dayFromNow(7))]);
    sheet.addRow(['amount_mismatch', two, 'accept', null, 'as text', 'other']);
    await workbook.xlsx.writeFile(join(book.folder, 'filled.xlsx'));
    const { code, stdout, stderr } = await book.call('handle', '--file', 'filled.xlsx', '--as', 'ann');
    assert.equal(code, 0, stderr);
    assert.equal(stdout, '2 handled: now 1 snoozed, 1 accepted\n');
    const [snoozed] = await book.list('--handling', 'snoozed');
    assert.equal(snoozed.handling.until, dayFromNow(7));
  });

  test('every mistake is told with its line, and nothing is done', async () => {
    const book = await bookOf([11, 12, 13]);
    const [one, two, three] = await book.nos();
    const { code, stderr } = await book.file('wrong.csv', [
      'no,action,reason,text,to,until',
      `${one},accept,timing,fine,,`,
      `${two},accept,because,,,`,
      'x,comment,,hello,,',
      `${three},,,forgotten,,`,
      '',
      `${one},comment,,again,,`,
      '987654,comment,,who,,',
      `${three},snooze,,,,soon`,
      ',comment,,of what,,',
    ]);
    assert.equal(code, 2);
    assert.deepEqual(
      stderr.split('\n').flatMap((line) => /^line .*$/.exec(line) ?? []),
      [
        'line 3, column text: is missing: accept needs a text.',
        'line 3, column reason: because is no reason; use one of timing, rounding, provider_claim, booked, written_off, other.',
        'line 4: column no: x is not a number: use the number of a discrepancy.',
        'line 5, column action: is empty, but text is filled in: write an action, or leave them out.',
        `line 7: discrepancy ${one} is handled in line 2 already: leave one of them out.`,
        'line 8: discrepancy 987654 does not exist: use a number that "settlestream discrepancies" shows as no.',
        'line 9, column until: soon is not a day: use YYYY-MM-DD.',
        'line 10: column no: is empty: use the number of a discrepancy.',
      ],
    );
    assert.deepEqual(
      (await book.list()).map(({ handling }) => handling),
      [null, null, null],
    );
  });

  test('what is no such file is refused with what to do', async () => {
    const book = await bookOf([11]);
    const refused: [readonly string[], RegExp][] = [
      [['no;action;text', '1;comment;x'], /separated by semicolons/],
      [['number,action', '1,comment'], /column no is missing/],
      [['no,action,no', '1,comment,2'], /column no appears twice/],
      [['no,action,text', '1,,'], /no line has an action/],
    ];
    for (const [lines, why] of refused) {
      const { code, stderr } = await book.file('file.csv', lines);
      assert.equal(code, 2);
      assert.match(stderr, why);
    }
    const missing = await book.call('handle', '--file', 'nowhere.csv');
    assert.equal(missing.code, 2);
    assert.match(missing.stderr, /nowhere\.csv cannot be read/);
    const both = await book.call('handle', 'accept', '1', '--file', 'file.csv');
    assert.match(both.stderr, /the file says what is done/);
  });

  test('50,000 lines take seconds', async () => {
    const book = await bookOf([11]);
    await query(
      book.url,
      `insert into discrepancy (batch_no, identity, of_matchable, kind, load_no, line, message, first_seen_at, opened_run, opened_at, stake_minor, stake_currency)
       select batch_no, 'many ' || n, false, kind, load_no, n, 'x', first_seen_at, opened_run, opened_at, 100, 'USD'
         from (select * from discrepancy limit 1) d, generate_series(1, 50000) n`,
    );
    const found = await query<{ no: string }>(
      book.url,
      `select no::text from discrepancy where identity like 'many %'`,
    );
    const begun = Date.now();
    const { code, stdout, stderr } = await book.file('many.csv', [
      'no,action,reason,text',
      ...found.map(({ no }) => `${no},accept,rounding,a cent each`),
    ]);
    assert.equal(code, 0, stderr);
    assert.equal(stdout, '50000 handled: now 50000 accepted\n');
    assert.ok(Date.now() - begun < 60_000, `${Date.now() - begun} ms`);
    assert.equal((await book.list()).length, 1);
    assert.deepEqual((await book.batch()).accepted, {
      count: 50_000,
      amounts: [{ currency: 'USD', amount: '50000.00' }],
    });
    const { code: verified, stdout: said } = await book.call('audit', '--verify');
    assert.equal(verified, 0, said);
  });
});

suite('two people at once', () => {
  test('one wins, the other is told', async () => {
    const book = await bookOf([11]);
    const [no] = (await book.nos()) as [string];
    // Both have looked before either of them may write.
    const { default: pg } = await import('pg');
    const client = new pg.Client({ connectionString: book.url });
    await client.connect();
    await client.query(`begin; select from discrepancy where no = ${no} for update`);
    const both = [
      book.handle('assign', no, '--to', 'ann', '--as', 'ann'),
      book.handle('assign', no, '--to', 'bob', '--as', 'bob'),
    ];
    const isWaiting = () =>
      query<{ waiting: string }>(
        book.url,
        `select count(*) as waiting from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`,
      );
    while (Number((await isWaiting())[0]!.waiting) < 2) await new Promise((resolve) => setTimeout(resolve, 20));
    await client.query('rollback');
    await client.end();
    const ended = await Promise.all(both);
    assert.deepEqual(ended.map(({ code }) => code).sort(), [0, 2]);
    const loser = ended.find(({ code }) => code === 2)!;
    const winner = ended[0] === loser ? 'bob' : 'ann';
    assert.match(loser.stderr, new RegExp(`was changed in the meantime: it is assigned by ${winner}`));
    assert.equal((await book.list())[0].handling.assignedTo, winner);
  });
});
