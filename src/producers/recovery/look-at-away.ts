import { archiveTrouble } from '../../adapters/archive.ts';
import { type AwayRow, clearAway, tellBatches, type What, whatIsAway } from '../../store/away.sql.ts';
import { type Asking, askAgain } from './sweep.ts';

/** What is away for so long is news for the batches that wait for it. */
const TOLD_AFTER_MS = 3_000;

/**
 * Looks again and again at what is away: has what is back gone on with at once, and what may be tried again tried. Where nothing is
 * away a look costs nothing.
 */
export function lookerAtAway({
  archiveDir,
  tellBack = () => {},
  ...asking
}: Asking & {
  readonly archiveDir: string;
  readonly tellBack?: (what: What, seconds: number) => void;
}): () => Promise<void> {
  const { db } = asking.database;
  let before: readonly AwayRow[] = [];

  /** Of the archive nobody else says that it is back. */
  const isBack = async ({ what, isSeen, needsBytes }: AwayRow): Promise<boolean> => {
    if (what !== 'archive' || !isSeen) return false;
    if ((await archiveTrouble(archiveDir, needsBytes === null ? null : Number(needsBytes))) !== null) return false;
    const seconds = await clearAway(db, what);
    if (seconds !== null) tellBack(what, seconds);
    return true;
  };

  return async () => {
    const known = await whatIsAway(db);
    const away: AwayRow[] = [];
    for (const row of known) if (!(await isBack(row))) away.push(row);
    for (const { what, since, isTold } of away)
      if (!isTold && Date.now() - since.getTime() > TOLD_AFTER_MS) await tellBatches(db, what);
    const isBackNow = [...before, ...known].some(({ what }) => !away.some((row) => row.what === what));
    before = away;
    if (isBackNow || away.some(({ isDue }) => isDue)) await askAgain(asking);
  };
}
