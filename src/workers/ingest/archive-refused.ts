import { createHash } from 'node:crypto';
import { archiveFile } from '../../adapters/archive.ts';
import { ReportRefused } from '../../domain/errors.ts';
import type { IngestContext } from './ingest-context.ts';
import * as query from './ingest-report.sql.ts';
import { openFile } from './open-report.ts';
import { checkUnchanged, refusalOf } from './unchanged.ts';

/** Archives a refused report as it was received. One that cannot even be copied can only be read from its source again. */
export async function keepRefused(context: IngestContext, delivery: query.Delivery): Promise<void> {
  try {
    const place = await context.sourceFilesOf(delivery.source);
    await checkUnchanged(place, delivery);
    const file = await openFile(place, delivery);
    const extension = delivery.isSheet ? 'xlsx' : 'csv';
    const copy = await archiveFile(context.archiveDir, `${archiveNameOf(delivery)}_refused.${extension}`);
    try {
      const hash = createHash('sha256');
      for await (const block of file.blocks()) {
        hash.update(block);
        await copy.write(block);
      }
      await checkUnchanged(place, delivery);
      await copy.finish();
      await query.keepRefused(context.database.db, delivery.no, copy.path, hash.digest('hex'));
    } catch (error) {
      await copy.discard().catch(() => {});
      throw error;
    } finally {
      await file.close();
    }
  } catch (error) {
    if (!(refusalOf(error, delivery) instanceof ReportRefused)) throw error;
  }
}

/** By number: a report's own name may be as long as a file system allows. */
export const archiveNameOf = ({ no, epoch }: query.Delivery): string => `${Math.floor(no / 1000)}/${no}_${epoch}`;
