import type { Db } from '../adapters/postgres/connection.ts';
import { FORMATS } from '../domain/formats/all.ts';
import type { Format } from '../domain/formats/format.ts';

/** A format never changes under its id, so it is looked up once. */
const known = new Map<string, Format>();

/** The format of this id: one that comes with the program, or one of the user's own as it was when it was recorded. */
export async function formatById(db: Db, id: string): Promise<Format> {
  const format = (Object.hasOwn(FORMATS, id) ? FORMATS[id] : undefined) ?? known.get(id);
  if (format) return format;
  const found = await db.selectFrom('format').select('format').where('id', '=', id).executeTakeFirst();
  if (!found) throw new Error(`no format is known as ${id}`);
  known.set(id, found.format);
  return found.format;
}

/** The formats that parts were read as, by their ids. */
export async function formatsOf(
  db: Db,
  parts: readonly { readonly format: string | null }[],
): Promise<ReadonlyMap<string, Format>> {
  const ids = [...new Set(parts.map(({ format }) => format!))];
  return new Map(await Promise.all(ids.map(async (id) => [id, await formatById(db, id)] as const)));
}

/** What comes with the program is known to every worker; a format of the user's own is kept as it is now. */
export async function keepFormat(db: Db, format: Format): Promise<void> {
  if (format.id === format.name) return;
  await db
    .insertInto('format')
    .values({ id: format.id, format })
    .onConflict((kept) => kept.doNothing())
    .execute();
}
