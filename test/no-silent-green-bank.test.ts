/**
 * "Arrived" is said only of what was compared: from a month in which all payouts arrived, any single change of a statement is told, in each
 * format, but for what `support/bank-neutral.ts` lists with its reason.
 *
 * All changes are decided in memory, some of them by the program, each as a merchant of its own with accounts of its own: one call answers all of
 * these. `npm run check:nightly` gives a thousand to the program. SETTLESTREAM_TEST_SEEDS=2-3 takes other amounts and other slices.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { formatAmount } from '../src/domain/money/money.ts';
import {
  ACCOUNT,
  BANK_FORMATS,
  type BankChange,
  type CleanBank,
  CSV_FORMAT,
  changesOfBank,
  cleanBank,
  describeBankChange,
  filesOfBank,
  PAYER,
} from './support/bank-changes.ts';
import { sayInMemory } from './support/bank-in-memory.ts';
import { type BankNeutral, bankNeutralOf } from './support/bank-neutral.ts';
import { temporaryFolder, writeFiles } from './support/book.ts';
import { sliceOf } from './support/changes.ts';
import { freshDatabase } from './support/postgres.ts';
import { settlestream } from './support/settlestream.ts';
import { seeds, sized } from './support/size.ts';

const AT_ONCE = sized(6, 250);
const [from, to] = seeds(1, 1);

/** What is said of a month; a change of null is none. */
type Said = { readonly told: readonly string[]; readonly states: readonly string[] };
type Delivery = { readonly bank: CleanBank; readonly change: BankChange | null };

for (let seed = from; seed <= to; seed++)
  suite(`from a month in which all payouts arrived, with the amounts of seed ${seed}, no change of a statement is silent`, () => {
    for (const format of BANK_FORMATS)
      test(`in ${format}`, () => {
        const bank = cleanBank(format, seed);
        const changes = [null, ...changesOfBank(bank)];
        const wrong = changes.flatMap((change) =>
          complaint({ bank, change }, sayInMemory(bank, filesOf({ bank, change }))),
        );
        assert.deepEqual(wrong, [], `${wrong.length} of ${changes.length}`);
      });

    test('through the program', async () => {
      const deliveries = BANK_FORMATS.flatMap((format): Delivery[] => {
        const bank = cleanBank(format, seed);
        return [null, ...sliceOf(changesOfBank(bank), seed, AT_ONCE)].map((change) => ({ bank, change }));
      });
      const said = await answerTo(deliveries);
      const wrong = deliveries.flatMap((delivery, at) => complaint(delivery, said[at]!));
      assert.deepEqual(wrong, [], `${wrong.length} of ${deliveries.length}`);
    });
  });

const filesOf = ({ bank, change }: Delivery) => change?.files ?? filesOfBank(bank, bank.made);

const UNCHANGED: BankNeutral = { kinds: [], why: 'nothing was changed' };

/** What a reader needs to see of a change that is answered wrongly. */
function complaint({ bank, change }: Delivery, { told, states }: Said): string[] {
  const verdict = told.length > 0 ? 'told' : states.every((state) => state === 'arrived') ? 'arrived' : 'expected';
  const neutral = change === null ? UNCHANGED : bankNeutralOf(change);
  const wanted = neutral === null ? 'told' : (neutral.stays ?? 'arrived');
  if (wanted === verdict || (wanted === 'either' && verdict !== 'expected')) return [];
  const what = change === null ? bank.format : describeBankChange(change);
  const why = neutral === null ? '' : ` (${neutral.why})`;
  return [`${what} — has to be ${wanted}${why}, is ${verdict}: ${[...told, ...states].join('; ')}`];
}

const merchantOf = (at: number): string => `m${String(at + 1).padStart(5, '0')}`;
/** Others of it, as a change makes them, are nobody's. */
const accountOf = (at: number): string => ACCOUNT.replace('ACCT', `A${at}X`);

async function answerTo(deliveries: readonly Delivery[]): Promise<Said[]> {
  const accounts = deliveries.map(({ bank: { currency } }, at) => ({
    ...{ account: accountOf(at), currency },
    merchantId: merchantOf(at),
  }));
  const files: Record<string, readonly string[] | Buffer> = {
    'records.csv': [
      'requestId,type,amount,currency,status,occurredAt,merchantId',
      `r1,PAYMENT,1,EUR,SUCCESS,2026-03-01T00:00:00Z,${merchantOf(0)}`,
    ],
    'corner.yaml': [CSV_FORMAT],
    'settlestream.yaml': [JSON.stringify({ bank: { accounts, payers: [PAYER], formats: 'corner.yaml' } })],
  };
  for (const [at, delivery] of deliveries.entries()) {
    const { currency, payouts } = delivery.bank;
    for (const { batchId, day, minor } of payouts)
      files[`reports/${merchantOf(at)}/${day.replaceAll('-', '')}/settlementSummary_${currency}_${batchId}_000.csv`] =
        summaryOf(batchId, formatAmount(minor, currency), currency);
    for (const [name, text] of Object.entries(filesOf(delivery)))
      files[`bank/${merchantOf(at)}/${name}`] = Buffer.from(text.replaceAll('ACCT', accountOf(at).slice(0, -10)));
  }
  const folder = writeFiles(temporaryFolder(), files);
  const { json, code, stderr } = await settlestream(
    [
      ...['reconcile', join(folder, 'reports'), '--ledger', join(folder, 'records.csv')],
      ...['--bank', join(folder, 'bank'), '--config', join(folder, 'settlestream.yaml'), '--json'],
    ],
    { env: { DATABASE_URL: await freshDatabase(), SETTLESTREAM_DATA_DIR: temporaryFolder() }, timeoutMs: 1_800_000 },
  );
  assert.ok(code === 1 || code === 3, stderr);
  return deliveries.map((_, at) => saidOf(json, merchantOf(at)));
}

const summaryOf = (batchId: string, amount: string, currency: string): string[] => [
  'settlementBatchId,summaryType,count,settlementAmountValue,settlementCurrency,feeAmountValue,feeCurrency',
  `${batchId},TOTAL,1,${amount},${currency},0,${currency}`,
  '<END>',
];

const OF_BANK = /^(?:payout_|statement_|unexplained_credit)/;

// biome-ignore lint/suspicious/noExplicitAny: looked into by name.
function saidOf(json: any, merchant: string): Said {
  const isOf = ({ merchantId, file }: { merchantId: string | null; file: string | null }) =>
    merchantId === merchant || file?.startsWith(`${merchant}/`);
  // biome-ignore lint/suspicious/noExplicitAny: the same.
  const findings = json.discrepancies.filter((row: any) => OF_BANK.test(row.kind) && isOf(row));
  // biome-ignore lint/suspicious/noExplicitAny: the same.
  const refused = json.bankStatements.filter((row: any) => row.error !== null && row.file.startsWith(`${merchant}/`));
  return {
    told: [
      ...findings.map(({ kind, message }: Record<string, string>) => `${kind} ${message}`),
      // biome-ignore lint/suspicious/noExplicitAny: the same.
      ...refused.map(({ file, error }: any) => `${file} ${error.code} ${error.message}`),
    ],
    // biome-ignore lint/suspicious/noExplicitAny: the same.
    states: json.batches.filter(isOf).map(({ bank }: any) => bank?.state ?? 'none'),
  };
}
