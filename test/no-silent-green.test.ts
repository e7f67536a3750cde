/**
 * "In order" is said only of what was compared: from a clean day, any single change of a cell, row, column, file or record is told, but for
 * what `support/neutral.ts` lists with its reason, which stays in order.
 *
 * Each change is a merchant of its own, and one call answers all of them. `npm run check:nightly` tries more than a thousand of each
 * format; here it is a slice. SETTLESTREAM_TEST_SEEDS=2-3 takes other amounts and other slices.
 */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { temporaryFolder } from './support/book.ts';
import { type Change, changesOf, deliver, say, sliceOf } from './support/changes.ts';
import { adyenDay, antomDay, apoDay, type CleanDay, ownDay } from './support/clean-day.ts';
import { reconcileAll, type Said, type Verdict, verdictOf } from './support/many-days.ts';
import { type Neutral, neutralOf } from './support/neutral.ts';
import { freshDatabase } from './support/postgres.ts';
import { seeds, sized } from './support/size.ts';

const AT_ONCE = sized(40, 1_200);
const [from, to] = seeds(1, 1);

/** A book for every call, made before they run side by side. */
const DAYS = [apoDay, antomDay, adyenDay, ownDay];
const books: Record<string, string>[] = [];
for (let book = 0; book < DAYS.length * (to - from + 1); book++)
  books.push({ DATABASE_URL: await freshDatabase(), SETTLESTREAM_DATA_DIR: temporaryFolder() });

for (let seed = from; seed <= to; seed++)
  suite(`from a clean day with the amounts of seed ${seed}, no change is silent`, { concurrency: 2 }, () => {
    for (const make of DAYS) {
      const day = make(seed);
      test(`in ${day.format}`, async () => {
        const changes = sliceOf(changesOf(day), seed, AT_ONCE);
        const deliveries = [deliver(day.sheets), ...changes.map(({ apply }) => apply(day))];
        const { said, answer } = await reconcileAll(temporaryFolder(), day, deliveries, books.pop()!);
        const [clean, ...changed] = said;
        assert.deepEqual([verdictOf(day, clean!), clean!.discrepancies], ['green', []], 'the day itself is in order');
        assert.notEqual(answer.exitCode, 0, 'where anything is told, the exit code says so');
        const wrong = changes.flatMap((change, at) => complaint(change, neutralOf(change, day), day, changed[at]!));
        assert.deepEqual(wrong, [], `${wrong.length} of ${changes.length} changes`);
      });
    }
  });

/** What a reader needs to see of a change that is answered wrongly. */
function complaint(change: Change, neutral: Neutral | null, day: CleanDay, said: Said): string[] {
  const verdict = verdictOf(day, said);
  const wanted = neutral === null ? 'told' : (neutral.stays ?? 'green');
  if (wanted === verdict || (wanted === 'either' && verdict !== 'absent')) return [];
  const why = neutral === null ? '' : ` (${neutral.why})`;
  return [`${say(change)} — has to be ${wanted}${why}, is ${WORDS[verdict]}: ${toldBy(said)}`];
}

const WORDS: Record<Verdict, string> = { told: 'told', green: 'said to be in order', absent: 'not spoken of' };

const toldBy = ({ discrepancies, reports, batches, days }: Said): string =>
  [
    ...discrepancies.map(({ kind, file, line, message }) => `${kind} ${file ?? ''}:${line ?? ''} ${message}`),
    ...reports.flatMap(({ file, state, error }) => (error ? [`${file} ${state} ${error.code}`] : [])),
    ...[...batches, ...days].map(({ state }) => state),
  ].join('; ');
