import type { Config, Options } from '../config/config.ts';
import { UsageError } from '../domain/errors.ts';
import { type Handled, handle } from '../operations/handle.ts';
import { type HandlingFile, readHandlingFile } from '../operations/handling-file.ts';
import { writeAll } from '../views/output/output.ts';
import { actorOf } from './session/actor.ts';
import { withDatabase } from './session/storage.ts';

/** What stands on the command line. */
type Asked = { readonly action: string | undefined; readonly nos: readonly string[] };

/** Does what a person decided about discrepancies: on the command line, or in the lines of a file. */
export async function handleDiscrepancies(config: Config, asked: Asked, options: Options): Promise<number> {
  const { requests, mistakes } = await requestsOf(asked, options);
  const limits = config.handling.approval;
  return withDatabase(config, async (database) => {
    const context = { database, actor: actorOf(options), limits, merchants: null, now: Date.now };
    const handled = await handle(context, requests, mistakes);
    await writeAll([options['json'] ? `${JSON.stringify({ handled: handled.map(handledJson) })}\n` : textOf(handled)]);
  });
}

async function requestsOf({ action, nos }: Asked, options: Options): Promise<HandlingFile> {
  const { file, reason = null, text = null, to = null, until = null } = options;
  if (file !== undefined) {
    const others = [action, reason, text, to, until].filter((given) => given !== undefined && given !== null);
    if (others.length > 0)
      throw new UsageError('--file: the file says what is done: leave out the action and its options.');
    return readHandlingFile(file);
  }
  if (action === undefined)
    throw new UsageError(
      'say what to do, and about which discrepancies: settlestream handle ACTION NO…, or --file FILE.',
    );
  if (nos.length === 0)
    throw new UsageError(
      `${action}: no discrepancy is named: add the numbers that "settlestream discrepancies" shows.`,
    );
  const act = { action, reason: blankless(reason), text: blankless(text), to: blankless(to), until: blankless(until) };
  return { requests: nos.map((no) => ({ no: numberOf(no), act, line: null })), mistakes: [] };
}

const blankless = (text: string | null): string | null => text?.trim() || null;

function numberOf(text: string): bigint {
  if (/^[1-9]\d{0,17}$/.test(text)) return BigInt(text);
  throw new UsageError(`${text}: not the number of a discrepancy. Use what "settlestream discrepancies" shows as no.`);
}

const handledJson = ({ no, handling }: Handled) => ({ no: Number(no), state: handling.state });

function textOf(handled: readonly Handled[]): string {
  const states = Map.groupBy(handled, ({ handling }) => handling.state);
  const counts = [...states].map(([state, ofState]) => `${ofState.length} ${state}`).join(', ');
  return `${handled.length} handled: now ${counts}\n`;
}
