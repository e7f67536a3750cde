import type { Config, Options } from '../config/config.ts';
import { csv, writeAll } from '../views/output/output.ts';
import { workbook } from '../views/output/workbook.ts';
import { STORY_COLUMNS, storyText } from '../views/payment-trace/tables.ts';
import { storyJson, tracePayment } from '../views/payment-trace/trace.ts';
import { outputOf } from './session/options.ts';
import { withDatabase } from './session/storage.ts';

/** Tells all that is known of a payment: its records, every row about it, what was settled, and what does not add up. */
export async function explain(config: Config, id: string, options: Options): Promise<number> {
  const output = outputOf('explain', options);
  return withDatabase(config, async (database) => {
    const tell = (note: string) => process.stderr.write(`settlestream: ${note}\n`);
    const story = await tracePayment(database, id, options['merchant'], tell);
    if (output === 'table') return writeAll(storyText(story));
    if (output === 'json') return writeAll([`${JSON.stringify(storyJson(story))}\n`]);
    return writeAll(
      output === 'csv' ? csv(STORY_COLUMNS, [story.rows]) : workbook('rows', STORY_COLUMNS, [story.rows]),
    );
  });
}
