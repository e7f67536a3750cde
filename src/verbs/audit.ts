import type { Database } from '../adapters/postgres/connection.ts';
import { streamHeld } from '../adapters/postgres/cursors.ts';
import type { Config, Options } from '../config/config.ts';
import { AUDITED, type ChainLink } from '../domain/audit.ts';
import { UsageError } from '../domain/errors.ts';
import { type AuditFilter, type AuditView, auditEvents, auditHead } from '../views/audit/audit.sql.ts';
import { AUDIT_COLUMNS, auditJson, auditTable, verifyAudit } from '../views/audit/audit.ts';
import { jsonArray } from '../views/batches/batches.ts';
import { csv, writeAll } from '../views/output/output.ts';
import { workbook } from '../views/output/workbook.ts';
import { filterOf, numberIn, outputOf } from './session/options.ts';
import { withDatabase } from './session/storage.ts';

/** Lists who did what; checks that nobody changed it; or prints the last event, to be kept elsewhere. */
export async function audit(config: Config, options: Options): Promise<number> {
  if (options['verify'] !== undefined) return verify(config, options);
  const output = outputOf('audit', options);
  const filter = auditFilterOf(options);
  return withDatabase(config, async (database) => {
    if (options['head'] !== undefined) return printHead(database, options);
    const events = streamHeld<AuditView>(database, auditEvents(filter));
    if (output === 'json') {
      await writeAll(['{"events":']);
      await writeAll(jsonArray(events, auditJson));
      await writeAll(['}\n']);
    } else if (output === 'csv') await writeAll(csv(AUDIT_COLUMNS, events));
    else if (output === 'xlsx') await writeAll(workbook('audit', AUDIT_COLUMNS, events));
    else for await (const rows of events) await writeAll([`${auditTable(rows)}\n`]);
  });
}

function auditFilterOf(options: Options): AuditFilter {
  const { who, what } = options;
  if (what !== undefined && !(AUDITED as readonly string[]).includes(what))
    throw new UsageError(`--what ${what}: unknown; allowed: ${AUDITED.join(', ')}.`);
  const { from, to } = filterOf(options);
  const after = numberIn('after', options);
  return {
    from,
    to,
    who,
    what,
    after: after === undefined ? undefined : BigInt(after),
    limit: numberIn('limit', options),
  };
}

async function printHead({ db }: Database, options: Options): Promise<void> {
  const { no, hash } = await auditHead(db);
  await writeAll([options['json'] ? `${JSON.stringify({ no: Number(no), hash })}\n` : `${no}:${hash}\n`]);
}

async function verify(config: Config, options: Options): Promise<number> {
  const pinned = pinnedOf(options);
  return withDatabase(config, async ({ db }) => {
    const { events, head, broken } = await verifyAudit(db, { pinned });
    const shown = { events, head: { no: Number(head.no), hash: head.hash }, broken };
    const text =
      broken === null ? `${events} events fit, up to ${head.no}:${head.hash}\n` : `The trail was changed: ${broken}.\n`;
    await writeAll([options['json'] ? `${JSON.stringify(shown)}\n` : text]);
    return broken === null ? 0 : 1;
  });
}

function pinnedOf({ pinned }: Options): ChainLink | undefined {
  if (pinned === undefined) return undefined;
  const [, no, hash] = /^(\d{1,18}):([0-9a-f]{64})$/.exec(pinned) ?? [];
  if (no === undefined || hash === undefined)
    throw new UsageError(
      `--pinned ${pinned}: use what "settlestream audit --head" printed: a number, a colon, and 64 digits.`,
    );
  return { no: BigInt(no), hash };
}
