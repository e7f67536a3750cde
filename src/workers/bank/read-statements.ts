import { createHash } from 'node:crypto';
import { type ArchivedFile, archiveError, archiveFile, keptFile } from '../../adapters/archive.ts';
import { nearestCsvFormat } from '../../adapters/file-formats/csv-statements.ts';
import {
  HEAD_BYTES,
  type OpenedAs,
  openStatements,
  type StatementFile,
  statementFormatOf,
} from '../../adapters/file-formats/statements.ts';
import { strangerIn } from '../../adapters/file-formats/strangers.ts';
import { copyIn, type Db, onOneConnection } from '../../adapters/postgres/connection.ts';
import { inTransaction } from '../../adapters/postgres/transactions.ts';
import { openFolders } from '../../adapters/source-files/local-folder.ts';
import type { SourceFiles } from '../../adapters/source-files/source-files.ts';
import type { CsvStatementFormat } from '../../domain/bank/csv-format.ts';
import type { BankEvent, StatementFormat } from '../../domain/bank/statement.ts';
import { ReportRefused, ReportVanished } from '../../domain/errors.ts';
import { matchPayouts as matchPayoutsJob, type ReadStatementsJob } from '../../jobs.ts';
import { dueMatching } from '../../store/bank/matching.ts';
import { bankSettings, noteBankChange } from '../../store/bank/settings.ts';
import type { JobContext } from '../context.ts';
import { claimTask, Fenced } from '../fencing.ts';
import { openFile } from '../ingest/open-report.ts';
import { checkUnchanged, refusalOf } from '../ingest/unchanged.ts';
import * as query from './read-statements.sql.ts';
import { StatementRows } from './statement-rows.ts';

/** Statements that come together are matched together. */
const MATCH_DELAY_MS = 500;

/**
 * Reads a file of statements once, from start to end, in one transaction: copies it to the archive, hashes it, and writes its entries and
 * statements. What cannot be read is refused, and the statements before it count. Run twice, the epoch lets one attempt write. Returns false
 * if there was nothing to read.
 */
export async function readStatements(context: JobContext, { fileNo }: ReadStatementsJob): Promise<boolean> {
  const { database } = context;
  const file = await query.claimFile(database.db, fileNo);
  if (!file) return false;
  context.logContext({ source: file.source, report: file.file });
  try {
    await read(context, file);
  } catch (error) {
    const refused = refusalOf(error, file);
    if (!(refused instanceof ReportRefused))
      throw await archiveError(context.archiveDir, error, Number(file.sizeBytes));
    // In the service it is found once more if it is there again, just as it was: what was found in a zip is not looked for again. A call says
    // that it was not there.
    if (refused instanceof ReportVanished && context.calendars !== null && file.entry === null)
      await query.forgetFile(context.database.db, file);
    else await refuse(context, file, refused);
  }
  await askForMatching(context);
  return true;
}

async function askForMatching({ database, enqueue, calendars }: JobContext): Promise<void> {
  // A call matches once, when all was read.
  if (calendars === null) return;
  const due = await dueMatching(database.db);
  if (due) await enqueue(matchPayoutsJob, due, { delayMs: MATCH_DELAY_MS });
}

async function refuse(context: JobContext, file: query.ClaimedFile, { code, message }: ReportRefused): Promise<void> {
  context.logEvent('warn', 'statements refused', { code, why: message });
  const { archived, sha256 } = file;
  await onOneConnection(context.database, (db) =>
    inTransaction(db, async () => {
      const end = { state: 'refused' as const, format: null, code, message, archived, sha256 };
      if (!(await query.endFile(db, file, end))) throw new Fenced();
      await query.clearFile(db, file.no);
      await noteBankChange(db, 'statement');
    }),
  );
}

async function read(context: JobContext, file: query.ClaimedFile): Promise<void> {
  const { place, isArchived } = await placeOf(context, file);
  const found = isArchived ? { ...file, path: file.archived! } : file;
  if (!isArchived) await checkUnchanged(place, file);
  const content = await openContent(place, found, isArchived);
  const archive = isArchived
    ? await keptFile(found.path)
    : await archiveFile(context.archiveDir, `statements/${Math.floor(file.no / 1000)}/${file.no}_${file.epoch}`);
  try {
    const { formats = [] } = (await bankSettings(context.database.db)) ?? {};
    const reading = new Reading(content.blocks(), archive, { fileNo: file.no, formats });
    await onOneConnection(context.database, async (db, client) => {
      await claimTask(db, `read-statements ${file.no}`);
      await inTransaction(db, async () => {
        await query.clearFile(db, file.no);
        await copyIn(client, query.COPY_ENTRIES, reading.entries());
        if (!isArchived) await checkUnchanged(place, file);
        await archive.finish();
        await write(db, file, reading, archive.path);
      });
    });
    const { statements, format } = reading;
    context.logEvent('info', 'statements read', { format, statements: statements.length });
  } catch (error) {
    await archive.discard().catch(() => {});
    throw error;
  } finally {
    await content.close();
  }
}

/** It is read from the archive where it stands there, else from its source. */
async function placeOf(context: JobContext, file: query.ClaimedFile) {
  if (file.archived === null) return { place: await context.sourceFilesOf(file.source), isArchived: false };
  const place = openFolders();
  if ((await place.stat(file.archived)) === null)
    throw new ReportRefused('unreadable', `the archived copy ${file.archived} is missing`);
  return { place, isArchived: true };
}

async function openContent(place: SourceFiles, file: query.ClaimedFile, isArchived: boolean) {
  // What was packed stands unpacked in the archive.
  if (isArchived) return { blocks: () => place.blocks(file.path), close: async () => {} };
  return openFile(place, file);
}

async function write(db: Db, file: query.ClaimedFile, reading: Reading, archived: string): Promise<void> {
  const { rows, trouble, format, sha256 } = reading;
  const isNothing = rows.statements.length === 0;
  const refused =
    trouble ?? (isNothing ? new ReportRefused('unknown_format', 'there is no statement in it', NONE) : null);
  if (refused && !isNothing) rows.refuse(reading.line, refused);
  const end = isNothing
    ? { state: 'refused' as const, code: refused!.code, message: refused!.message }
    : { state: 'read' as const, code: null, message: null };
  await query.insertStatements(db, file.no, rows.statements);
  const unusable = rows.statements.flatMap(({ ordinal, error_code }) => (error_code === null ? [] : [ordinal]));
  // Entries behind the last statement belong to one that has no end.
  await query.settleEntries(db, file.no, { refused: [...unusable, rows.statements.length + 1], turned: rows.turned });
  if (!(await query.endFile(db, file, { ...end, format, archived, sha256: sha256 }))) throw new Fenced();
  await noteBankChange(db, 'statement');
}

const NONE =
  'Check that this is a bank statement (camt.052, camt.053, camt.054, MT940, BAI2, or a CSV that a format in bank.formats describes), and fetch it again.';

/** One reading of a file. */
class Reading {
  readonly rows: StatementRows;
  format: StatementFormat | null = null;
  /** Why the rest of it is not used. */
  trouble: ReportRefused | null = null;
  line = 1;
  readonly #blocks: AsyncGenerator<Buffer>;
  readonly #archive: ArchivedFile;
  readonly #hash = createHash('sha256');
  readonly #events: BankEvent[] = [];
  #file: StatementFile | null = null;
  #head: Buffer = Buffer.alloc(0);
  readonly #formats: readonly CsvStatementFormat[];

  constructor(
    blocks: AsyncGenerator<Buffer>,
    archive: ArchivedFile,
    { fileNo, formats }: { readonly fileNo: number; readonly formats: readonly CsvStatementFormat[] },
  ) {
    this.#blocks = blocks;
    this.#archive = archive;
    this.#formats = formats;
    this.rows = new StatementRows(fileNo);
  }

  get statements() {
    return this.rows.statements;
  }

  get sha256(): string {
    return this.#hash.copy().digest('hex');
  }

  /** The entries in COPY format, as they come. All of the file is archived, also where the rest of it cannot be used. */
  async *entries(): AsyncGenerator<Buffer> {
    for await (const block of this.#blocks) {
      this.#hash.update(block);
      await this.#archive.write(block);
      this.#take(block);
      const rows = this.rows.block();
      if (rows) yield rows;
    }
    this.#open(true);
    this.#read((file) => file.end(this.#events));
    yield this.rows.finish();
  }

  #take(block: Buffer): void {
    if (this.#file) {
      this.#read((file) => file.push(block, this.#events));
      return;
    }
    this.#head = Buffer.concat([this.#head, block]);
    this.#open(this.#head.length >= HEAD_BYTES);
  }

  /** Opens the file when enough of it is known to say what it is. */
  #open(isKnown: boolean): void {
    if (this.#file || this.trouble || !isKnown) return;
    const head = this.#head;
    this.#head = Buffer.alloc(0);
    const opened = this.#openedAs(head.subarray(0, HEAD_BYTES));
    if (opened === null) return;
    this.format = typeof opened === 'object' ? opened.id : opened;
    this.#file = openStatements(opened);
    this.#read((file) => file.push(head, this.#events));
  }

  #openedAs(head: Buffer): OpenedAs | null {
    try {
      const opened = statementFormatOf(head, this.#formats);
      if (opened !== null) return opened;
    } catch (error) {
      if (!(error instanceof ReportRefused)) throw error;
      this.trouble = error;
      return null;
    }
    const stranger = strangerIn(head);
    const what = stranger ? `the file is ${stranger.what}` : nearestCsvFormat(head, this.#formats);
    this.trouble = new ReportRefused('unknown_format', head.length === 0 ? 'the file is empty' : what, NONE);
    return null;
  }

  #read(step: (file: StatementFile) => void): void {
    if (!this.#file || this.trouble) return;
    try {
      step(this.#file);
    } catch (error) {
      if (!(error instanceof ReportRefused)) throw error;
      this.trouble = error;
    }
    for (const event of this.#events.splice(0)) this.rows.add(event);
    if (this.rows.isFull) this.trouble ??= new ReportRefused('too_large', null);
    this.line = Number(/^line (\d+)/.exec(this.trouble?.detail ?? '')?.[1] ?? this.line);
  }
}
