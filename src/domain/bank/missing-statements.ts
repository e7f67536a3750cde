import { addDays } from '../calendar/calendar.ts';
import { tell } from '../discrepancy.ts';
import type { BankFinding } from './payouts.ts';
import { type BankDays, businessDaysAfter } from './settings.ts';
import type { CountedStatement } from './statement-findings.ts';

/**
 * `missing_statement`: accounts whose last statement ends before a banking day that is past. That of a day comes on the next banking day, so it is
 * missing from the one after that on.
 */
export function missingStatements(
  statements: readonly CountedStatement[],
  days: BankDays,
  today: string,
): BankFinding[] {
  const finals = statements.filter(({ isFinal, to }) => isFinal && to !== null);
  return [...Map.groupBy(finals, ({ account, currency }) => `${account} ${currency}`).values()].flatMap((ofAccount) => {
    const last = ofAccount.reduce((a, b) => (b.to! > a.to! ? b : a));
    const missing = businessDaysAfter(last.to!, 1, days);
    if (addDays(businessDaysAfter(missing, 1, days), 1) > today) return [];
    const { account, currency, fileNo, line, merchantNo, file, to } = last;
    const message = `Account ${account} in ${currency} has no statement for ${missing}: the last one (${file}) ends on ${to}. Fetch the next one from the bank, or check its delivery.`;
    return [
      {
        discrepancy: tell('missing_statement', message, { line, field: 'statement' }),
        batchNo: null,
        fileNo,
        merchantNo,
        key: `${account}|${currency}|${missing}`,
      },
    ];
  });
}
