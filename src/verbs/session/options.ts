import type { Options } from '../../config/config.ts';
import { isDay } from '../../domain/calendar/time.ts';
import { KINDS } from '../../domain/discrepancy.ts';
import { UsageError } from '../../domain/errors.ts';
import { STATES as HANDLING_STATES } from '../../domain/handling.ts';
import type { BatchFilter, DiscrepancyFilter } from '../../views/batches/batches.sql.ts';

const OUTPUTS = ['table', 'json', 'csv', 'xlsx'] as const;
const STATES = ['waiting', 'incomplete', 'discrepant', 'reconciled'];

/**
 * The form of the answer.
 * @throws UsageError where it is unknown, and where bytes would be written to a terminal.
 */
export function outputOf(verb: string, options: Options): (typeof OUTPUTS)[number] {
  const format = options['json'] ? 'json' : (options['format'] ?? 'table');
  const output = OUTPUTS.find((name) => name === format);
  if (output === undefined) throw notAllowed('--format', format, OUTPUTS);
  if (output === 'xlsx' && process.stdout.isTTY)
    throw new UsageError(
      `--format xlsx: a workbook is binary, so it cannot be shown on a terminal. Redirect it to a file: settlestream ${verb} --format xlsx > ${verb.replace(' ', '-')}.xlsx`,
    );
  return output;
}

/**
 * Which batches are asked for.
 * @throws UsageError with what is allowed.
 */
export function filterOf(options: Options): BatchFilter {
  const { kind, state } = options;
  if (kind !== undefined && !(KINDS as readonly string[]).includes(kind)) throw notAllowed('--kind', kind, KINDS);
  if (state !== undefined && !STATES.includes(state)) throw notAllowed('--state', state, STATES);
  for (const name of ['from', 'to'] as const) {
    const day = options[name];
    if (day !== undefined && !isDay(day)) throw new UsageError(`--${name} ${day}: not a day. Use YYYY-MM-DD.`);
  }
  return { merchant: options['merchant'], from: options['from'], to: options['to'] };
}

/**
 * How the discrepancies that are asked for are handled, and by whom.
 * @throws UsageError with what is allowed.
 */
export function handlingFilterOf({ handling, assigned }: Options): Pick<DiscrepancyFilter, 'handling' | 'assignedTo'> {
  const state = HANDLING_STATES.find((name) => name === handling);
  if (handling !== undefined && state === undefined) throw notAllowed('--handling', handling, HANDLING_STATES);
  return { handling: state, assignedTo: assigned };
}

/**
 * The moment that is looked back to, as a time in UTC: for a day its last one.
 * @throws UsageError when it is neither a day nor a time with an offset.
 */
export function asOfGiven({ asOf }: Options): string | undefined {
  if (asOf === undefined) return undefined;
  const isTime = /^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})$/.test(asOf);
  if (!isDay(asOf) && !(isTime && isDay(asOf.slice(0, 10)) && !Number.isNaN(Date.parse(asOf))))
    throw new UsageError(
      `--as-of ${asOf}: neither a day (YYYY-MM-DD, until its end in UTC) nor a time with an offset (2026-01-31T10:00:00+08:00).`,
    );
  const time = isDay(asOf) ? `${asOf}T23:59:59.999999Z` : asOf;
  process.stderr.write(`settlestream: as it was known at ${time}\n`);
  return time;
}

/** A whole number above zero; undefined where it is not given. */
export function numberIn(name: string, options: Options): number | undefined {
  const given = options[name];
  if (given === undefined) return undefined;
  if (!/^[1-9]\d{0,14}$/.test(given)) throw new UsageError(`--${name} ${given}: not a whole number above zero.`);
  return Number(given);
}

const notAllowed = (option: string, value: string, allowed: readonly string[]) =>
  new UsageError(`${option} ${value}: unknown; allowed: ${allowed.join(', ')}.`);
