import { z } from 'zod';
import { type Check, group, text, timeZone } from './values.ts';

/** The records that `ledger import` loads: what is compared with unless something else is said. */
const IMPORTED = 'imported';
/** In place of a column: the relation has none for it, though one is called so. */
const NO_COLUMN = 'none';

/** Names are taken as they are written, upper and lower case too. With a dot in it a name needs quotes. */
const PART = '(?:"(?:[^"]|"")+"|[^".]+)';
const RELATION = new RegExp(`^(?:(${PART})\\.)?(${PART})$`);

/** The merchant's records, where they stand already. */
export function ledgerShape() {
  return group({
    relation: text
      .transform((name, context) => {
        if (name === IMPORTED) return null;
        const [, schema, relation] = RELATION.exec(name) ?? [];
        if (relation !== undefined) return { schema: schema === undefined ? null : bare(schema), name: bare(relation) };
        context.addIssue({
          code: 'custom',
          message: `is not a table or view: write schema.name, or ${IMPORTED} for the records of "ledger import"`,
        });
        return z.NEVER;
      })
      .optional(),
    columns: group(
      {
        requestId: column.optional(),
        type: column.optional(),
        amount: column.optional(),
        amountMinor: column.optional(),
        currency: column.optional(),
        status: column.optional(),
        occurredAt: column.optional(),
        merchantId: column.optional(),
        orderId: column.optional(),
        originalRequestId: column.optional(),
        source: column.optional(),
        /** When the record was last changed. */
        updatedAt: column.optional(),
      },
      checkColumns,
    ).optional(),
    /** A condition in SQL, of the relation's own columns: only such records count. */
    where: z
      .string()
      .regex(/^[^\0]*\S[^\0]*$/, 'is empty: leave it out where all records count')
      .optional(),
    /** Of columns that hold the time of a clock and no offset. */
    timeZone: timeZone.optional(),
  });
}

const column = text.refine((name) => Buffer.byteLength(name) <= 63, 'is longer than a column name can be');

const bare = (part: string): string => (part.startsWith('"') ? part.slice(1, -1).replaceAll('""', '"') : part);

const checkColumns: Check = ({ amount, amountMinor }, refuse) => {
  const isThere = (name: unknown) => name !== undefined && name !== NO_COLUMN;
  if (isThere(amount) && isThere(amountMinor))
    refuse(['amountMinor'], 'is set beside amount: keep the one that counts');
};
