import type { LedgerRecord } from '../../domain/report/record-types.ts';
import type { MatchBy } from '../../domain/report/row.ts';

/**
 * How a row was matched.
 * - `requestId`: by its own request id. `original`: by the payment that it names. `transactionId`: the same, but it names the
 *   provider's id of that payment only, and another reported row says whose that is.
 * - `none`: it needs no record. `notFound`: it needs one, and there is none.
 */
export type MatchedBy = 'requestId' | 'original' | 'transactionId' | 'none' | 'notFound';

export type Rule = { readonly matchedBy: MatchedBy /** In a sentence. */; readonly rule: string };

type Reported = {
  readonly type: string;
  readonly requestId: string | null;
  readonly transactionId: string | null;
  readonly originalRequestId: string | null;
  readonly originalTransactionId: string | null;
  readonly file: string;
  readonly line: number;
};

/** A record as a payment: in this order of types. A refund that is taken back is looked for before its payment. */
const PAYMENTS = ['PAYMENT', 'CAPTURE', 'AUTHORIZATION'];

/** By which rule a row finds its record among those that are there now. `others` are rows that may say whose a transaction id is. */
export function matchedBy(
  row: Reported,
  matchBy: MatchBy,
  records: readonly LedgerRecord[],
  others: readonly Reported[],
): Rule {
  if (matchBy === 'none') return { matchedBy: 'none', rule: `A row of type ${row.type} needs no record.` };
  if (matchBy === 'lost') return { matchedBy: 'notFound', rule: 'It needs a record, but has no id to find one by.' };
  if (matchBy === 'own') {
    const own = records.find(({ type, requestId }) => type === row.type && requestId === row.requestId);
    return own
      ? { matchedBy: 'requestId', rule: `By its own request id: the record ${nameOf(own)}.` }
      : {
          matchedBy: 'notFound',
          rule: `There is no record ${row.type} ${row.requestId}, its own type and request id.`,
        };
  }
  return byOriginal(row, records, others);
}

function byOriginal(row: Reported, records: readonly LedgerRecord[], others: readonly Reported[]): Rule {
  const types = row.type === 'REFUND_REVERSAL' ? ['REFUND', ...PAYMENTS] : PAYMENTS;
  const recordOf = (id: string) =>
    types.flatMap((type) => records.filter((record) => record.type === type && record.requestId === id))[0];
  const missing = (id: string) => `There is no ${types.join(', ')} record of ${id}, the original that it names`;
  if (row.originalRequestId !== null) {
    const original = recordOf(row.originalRequestId);
    return original
      ? { matchedBy: 'original', rule: `By the original that it names: the record ${nameOf(original)}.` }
      : { matchedBy: 'notFound', rule: `${missing(row.originalRequestId)}.` };
  }
  const named = row.originalTransactionId;
  const carriers = others.filter(({ transactionId, requestId }) => transactionId === named && requestId !== null);
  const carrier = carriers.find(({ type }) => type === 'PAYMENT') ?? carriers[0];
  if (!carrier)
    return {
      matchedBy: 'notFound',
      rule: `No reported row has the transaction ${named}, the original that it names.`,
    };
  const original = recordOf(carrier.requestId!);
  const way = `${named} is the transaction of ${carrier.requestId} in ${carrier.file}, line ${carrier.line}`;
  return original
    ? {
        matchedBy: 'transactionId',
        rule: `By the provider's transaction id: ${way}, so the record ${nameOf(original)}.`,
      }
    : { matchedBy: 'notFound', rule: `${missing(carrier.requestId!)}; ${way}.` };
}

const nameOf = ({ type, requestId }: LedgerRecord): string => `${type} ${requestId}`;
