/** Deliveries with planted faults: the program's answer equals that of the oracle, which reads the same files on its own. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { sameAnswer } from './support/answer.ts';
import { answerOf, optionsOf, temporaryFolder, writeFiles } from './support/book.ts';
import { makeFaults } from './support/faults.ts';
import { expectedAnswer } from './support/oracle.ts';
import { freshDatabase } from './support/postgres.ts';
import { settlestream } from './support/settlestream.ts';
import { seeds } from './support/size.ts';

/** Eight seeds show every fault at least once. */
const [from, to] = seeds(3, 60);
const SAMPLES = join(import.meta.dirname, 'fixtures/reports');

/** A book for every test, made before they run side by side. */
const books: Record<string, string>[] = [];
for (let book = from; book <= to + 2; book++) {
  books.push({ DATABASE_URL: await freshDatabase(), SETTLESTREAM_DATA_DIR: temporaryFolder() });
}
const nextBook = () => ({ env: books.pop()! });

suite('the answer is that of the oracle', { concurrency: 2 }, () => {
  for (let seed = from; seed <= to; seed++) {
    test(`seed ${seed}`, async () => {
      const made = makeFaults(temporaryFolder(), seed);
      const ended = await settlestream(
        ['reconcile', ...made.paths, '--ledger', made.ledger, ...optionsOf(made), '--json'],
        nextBook(),
      );
      const expected = expectedAnswer(made.paths, made.ledger, made.options);
      sameAnswer(answerOf(ended), expected, `seed ${seed}: ${made.planted.join(', ')}`);
    });
  }
});

suite('the published samples, which print minor units and come without their details', { concurrency: 2 }, () => {
  const HEADER = 'requestId,type,amount,currency,status,occurredAt';
  const ledgers = {
    'with their payment recorded': [`20190326L648423000000,PAYMENT,18000,KRW,SUCCESS,2018-12-25T09:30:00+08:00`],
    'with another payment recorded': [`another,PAYMENT,18000,KRW,SUCCESS,2018-12-20T09:30:00+08:00`],
  };
  for (const [name, records] of Object.entries(ledgers)) {
    test(name, async () => {
      const folder = writeFiles(temporaryFolder(), { 'records.csv': [HEADER, ...records] });
      const { code, json } = await settlestream(
        ['reconcile', SAMPLES, '--ledger', join(folder, 'records.csv'), '--amount-unit', 'minor', '--json'],
        nextBook(),
      );
      const told = json.discrepancies.map((d: { kind: string; settlementBatchId: string | null }) =>
        [d.kind, d.settlementBatchId].join(' ').trim(),
      );
      assert.deepEqual(told, [
        'missing_details 0000000000000000000',
        ...(name.startsWith('with another') ? ['unknown_transaction'] : []),
        'missing_details 2018122611021040123',
        'missing_details 2022101909031102123',
        'missing_details 2C2P0000000101',
      ]);
      assert.equal(code, 1);
    });
  }
});
