import type { RowRefusalCode } from '../../domain/errors.ts';
import { MINOR_DIGITS } from '../../domain/money/currency.ts';
import { MAX_MINOR } from '../../domain/money/money.ts';
import { MAX_ID_BYTES } from '../../domain/report/cells.ts';
import { LEDGER_STATUSES, LEDGER_TYPES } from '../../domain/report/record.ts';
import { type Column, FIELDS, type Field, type LedgerSettings, type Relation } from './relation.ts';

/** The texts of which the functions of the book are made through which all statements read the records. */
export type LedgerFunctions = {
  /** Body of `ledger()`. */
  readonly records: string;
  /** Body of `ledger_refused()`. */
  readonly refused: string;
  /** Types of the merchant's own columns, as they are handed on beside their values. */
  readonly types: {
    readonly key: string;
    readonly original: string;
    readonly occurredAt: string;
    readonly updatedAt: string;
  };
  isRecord(key: string, keyHash: string, requestId: string, otherId: string, otherHash: string): string;
  isOfOriginal(original: string, originalRequestId: string, otherId: string): string;
  occurredBetween(raw: string, occurredAt: string, since: string, until: string): string;
  updatedSince(raw: string, updatedAt: string, since: string): string;
};

/** As `migrations/0001_schema.sql` makes them; a test holds the two together. */
export const importedFunctions = (where: string | undefined): LedgerFunctions => ({
  records: `
  select merchant_no, type, request_id, amount_minor, currency, status, occurred_at, original_request_id, order_id, source,
         null::timestamptz, key_hash, request_id, original_request_id, occurred_at, null::timestamptz
    from ${where === undefined ? 'record' : `(select * from record where (${where}\n)) record`}
`,
  refused: `
  select request_id, null, null, null, occurred_at, key_hash, request_id, occurred_at from record where false
`,
  types: { key: 'text', original: 'text', occurredAt: 'timestamptz', updatedAt: 'timestamptz' },
  isRecord: (_key, keyHash, requestId, otherId, otherHash) =>
    `${keyHash} = ${otherHash} and ${requestId} = ${otherId} collate "C"`,
  isOfOriginal: (_original, originalRequestId, otherId) => `${originalRequestId} = ${otherId} collate "C"`,
  occurredBetween: (_raw, occurredAt, since, until) => `${occurredAt} >= ${since} and ${occurredAt} < ${until}`,
  updatedSince: (_raw, updatedAt, since) => `${updatedAt} >= ${since}`,
});

/** Over a table or view of the merchant's own. */
export function relationFunctions(
  { quoted, columns }: Relation,
  { where, timeZone, merchant }: Pick<LedgerSettings, 'where' | 'timeZone' | 'merchant'>,
): LedgerFunctions {
  const key = columns.requestId!;
  const original = columns.originalRequestId;
  const { occurredAt, updatedAt } = columns;
  const used = fieldsOf(columns).map((field) => `${quote(columns[field]!.name)} as ${aliasOf(field)}`);
  const from = `(select ${used.join(', ')}\n      from ${quoted}${where === undefined ? '' : ` where (${where}\n)`}) t`;
  const timeOf = (column: Column | undefined, field: Field) =>
    column ? moment(`t.${aliasOf(field)}`, column, timeZone) : 'null::timestamptz';
  const rawOf = (column: Column | undefined, field: Field, type: string) =>
    column ? `t.${aliasOf(field)}` : `null::${type}`;
  const text = (field: Field) => (columns[field] ? `t.${aliasOf(field)}::text` : 'null::text');
  const types = {
    key: key.type,
    original: original?.type ?? 'text',
    occurredAt: occurredAt!.type,
    updatedAt: updatedAt?.type ?? 'timestamptz',
  };
  const minor = minorOf(columns);
  const whose = whoseOf(columns.merchantId ? text('merchantId') : null, merchant);
  const refusal = refusalOf({ columns, minor, occurredAt: timeOf(occurredAt, 'occurredAt'), whose, text });
  // A condition in a CASE is taken to hold for half of the rows; comparisons of what is computed, for hardly any.
  return {
    records: `
  select m.no, ${text('type')}, ${text('requestId')}, case when ${minor} between 0 and ${MAX_MINOR} then (${minor})::bigint end,
         ${text('currency')}, ${text('status')}, ${timeOf(occurredAt, 'occurredAt')}, nullif(btrim(${text('originalRequestId')}), ''),
         ${text('orderId')}, ${text('source')}, ${timeOf(updatedAt, 'updatedAt')}, hashtextextended(${text('requestId')}, 0),
         t.${aliasOf('requestId')}, ${rawOf(original, 'originalRequestId', types.original)}, t.${aliasOf('occurredAt')},
         ${rawOf(updatedAt, 'updatedAt', types.updatedAt)}
    from ${from}
    join merchant m on m.id = ${whose}
   where case when ${refusal} is null then true else false end
`,
    refused: `
  select r.request_id, split_part(r.refusal, ' ', 1), split_part(r.refusal, ' ', 2), r.said, r.occurred_at,
         hashtextextended(r.request_id, 0), r.key, r.raw_occurred_at
    from (select ${text('requestId')} as request_id, t.${aliasOf('requestId')} as key, t.${aliasOf('occurredAt')} as raw_occurred_at,
                 ${timeOf(occurredAt, 'occurredAt')} as occurred_at, ${refusal} as refusal, ${saidOf(columns, refusal)} as said
            from ${from}) r
   where case when r.refusal is null then false else true end
`,
    types,
    isRecord: (raw, keyHash, requestId, otherId, otherHash) =>
      comparison(key, raw, requestId, otherId) ?? `${keyHash} = ${otherHash} and ${requestId} = ${otherId} collate "C"`,
    isOfOriginal: (raw, originalRequestId, otherId) =>
      (original && comparison(original, raw, originalRequestId, otherId)) ??
      `${originalRequestId} = ${otherId} collate "C"`,
    occurredBetween: (raw, at, since, until) => {
      const exact = `${at} >= ${since} and ${at} < ${until}`;
      if (occurredAt!.base !== 'timestamp') return exact;
      // Its index is by the clock, which may show an hour twice.
      const clock = (time: string) => `(${time} at time zone ${literal(timeZone!)})`;
      return `${raw} >= ${clock(since)} - interval '2 hours' and ${raw} < ${clock(until)} + interval '2 hours' and ${exact}`;
    },
    updatedSince: (raw, at, since) =>
      updatedAt?.base === 'timestamp'
        ? `${raw} >= (${since} at time zone ${literal(timeZone!)}) - interval '2 hours'`
        : `${at} >= ${since}`,
  };
}

/** The statements that put these functions in place of those that are there. */
export function definitionOf({ records, refused, types, ...of }: LedgerFunctions): string {
  const make = (signature: string, returns: string, volatility: string, body: string) =>
    `create function ${signature} returns ${returns} language sql ${volatility} parallel safe as ${literal(body)};\n`;
  return `drop function if exists ledger, ledger_refused, is_record, is_of_original, occurred_between, updated_since;
${make(
  'ledger()',
  `table (merchant_no integer, type text, request_id text, amount_minor bigint, currency text, status text, occurred_at timestamptz,
  original_request_id text, order_id text, source text, updated_at timestamptz, key_hash bigint, key ${types.key},
  original_key ${types.original}, raw_occurred_at ${types.occurredAt}, raw_updated_at ${types.updatedAt})`,
  'stable',
  records,
)}${make(
  'ledger_refused()',
  `table (request_id text, field text, code text, value text, occurred_at timestamptz, key_hash bigint, key ${types.key},
  raw_occurred_at ${types.occurredAt})`,
  'stable',
  refused,
)}${make(
  `is_record(key_hash bigint, key ${types.key}, request_id text, other_hash bigint, other_id text)`,
  'boolean',
  'immutable',
  ` select ${of.isRecord('$2', '$1', '$3', '$5', '$4')} `,
)}${make(
  `is_of_original(original_key ${types.original}, original_request_id text, other_id text)`,
  'boolean',
  'immutable',
  ` select ${of.isOfOriginal('$1', '$2', '$3')} `,
)}${make(
  `occurred_between(raw_occurred_at ${types.occurredAt}, occurred_at timestamptz, since timestamptz, until timestamptz)`,
  'boolean',
  'immutable',
  ` select ${of.occurredBetween('$1', '$2', '$3', '$4')} `,
)}${make(
  `updated_since(raw_updated_at ${types.updatedAt}, updated_at timestamptz, since timestamptz)`,
  'boolean',
  'immutable',
  ` select ${of.updatedSince('$1', '$2', '$3')} `,
)}`;
}

const literal = (text: string): string =>
  text.includes('\\') ? `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'` : `'${text.replaceAll("'", "''")}'`;

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`;

const fieldsOf = (columns: Relation['columns']): Field[] => FIELDS.filter((field) => columns[field] !== undefined);

/** Columns of the merchant's may be called as they like; here each is called by its field. */
const aliasOf = (field: Field): string => `f_${field.toLowerCase()}`;

const moment = (raw: string, { base }: Column, timeZone: string | undefined): string =>
  base === 'timestamp' ? `(${raw} at time zone ${literal(timeZone!)})` : raw;

/** The amount in minor units, not rounded: as an integer where it stands in one. */
function minorOf({ amountMinor }: Relation['columns']): string {
  if (amountMinor) return amountMinor.base === 'numeric' ? 't.f_amountminor' : 't.f_amountminor::bigint';
  const digits = Object.groupBy(Object.keys(MINOR_DIGITS), (code) => MINOR_DIGITS[code as keyof typeof MINOR_DIGITS]);
  const others = Object.entries(digits).filter(([count]) => count !== '2');
  const cases = others.map(
    ([count, codes]) => `when t.f_currency::text in (${list(codes!)}) then ${10 ** Number(count)}`,
  );
  return `(t.f_amount::numeric * case ${cases.join(' ')} else 100 end)`;
}

const list = (words: readonly string[]): string => words.map(literal).join(', ');

/** The id of the merchant whose record it is; null where that cannot be told. */
function whoseOf(named: string | null, merchant: string | undefined): string {
  const only = merchant === undefined ? '(select min(id) from merchant having count(*) = 1)' : literal(merchant);
  return named === null ? only : `coalesce(nullif(btrim(${named}), ''), ${only})`;
}

/** Why a record cannot be used, as field and code; null where it can. The same rules as for a line of a file. */
function refusalOf({
  columns,
  minor,
  occurredAt,
  whose,
  text,
}: {
  columns: Relation['columns'];
  minor: string;
  occurredAt: string;
  whose: string;
  text: (field: Field) => string;
}): string {
  const whens: string[] = [];
  const refuse = (condition: string, field: Field, code: RowRefusalCode) =>
    whens.push(`when ${condition} then '${field} ${code}'`);
  const blank = (field: Field) => refuse(`coalesce(btrim(${text(field)}), '') = ''`, field, 'missing_value');
  const long = (field: Field) => refuse(`octet_length(${text(field)}) > ${MAX_ID_BYTES}`, field, 'id_too_long');
  const amount = columns.amountMinor ? 'amountMinor' : 'amount';
  blank('requestId');
  long('requestId');
  blank('type');
  refuse(`${text('type')} not in (${list(LEDGER_TYPES)})`, 'type', 'not_allowed');
  blank('currency');
  refuse(`${text('currency')} not in (${list(Object.keys(MINOR_DIGITS))})`, 'currency', 'unknown_currency');
  refuse(`${minor} is null`, amount, 'missing_value');
  if (columns[amount]!.base === 'numeric') refuse(`${minor} = 'NaN'`, amount, 'bad_amount');
  refuse(`${minor} < 0`, amount, 'negative_amount');
  if (columns[amount]!.base === 'numeric') refuse(`${minor} <> trunc(${minor})`, amount, 'too_many_decimals');
  refuse(`${minor} > ${MAX_MINOR}`, amount, 'out_of_range');
  blank('status');
  refuse(`${text('status')} not in (${list(LEDGER_STATUSES)})`, 'status', 'not_allowed');
  refuse(`${occurredAt} is null`, 'occurredAt', 'missing_value');
  refuse(
    `${occurredAt} < '2000-01-01 00:00:00+00' or ${occurredAt} >= '2101-01-01 00:00:00+00'`,
    'occurredAt',
    'bad_time',
  );
  if (columns.originalRequestId) long('originalRequestId');
  // As long as no merchant is known there is nothing to be unclear about.
  refuse(`${whose} is null and (select count(*) > 1 from merchant)`, 'merchantId', 'unclear_merchant');
  return `case ${whens.join('\n              ')} end`;
}

/** What stands in the column that a refusal names. */
function saidOf(columns: Relation['columns'], refusal: string): string {
  const cases = fieldsOf(columns).map((field) => `when '${field}' then t.${aliasOf(field)}::text`);
  return `case split_part(${refusal}, ' ', 1) ${cases.join(' ')} end`;
}

/**
 * Compares a column of the merchant's with an id in the way in which the column's own index is kept: by its type and collation.
 * Null where that would not be exact, or is not known: then the text is compared.
 */
function comparison(column: Column, raw: string, asText: string, id: string): string | null {
  const exactly = `${asText} = ${id} collate "C"`;
  switch (column.base) {
    case 'text':
    case 'varchar': {
      const same = `${raw} = ${id} collate ${column.collation}`;
      return column.isDeterministic ? same : `${same} and ${exactly}`;
    }
    case 'bpchar':
      return `${raw} = ${id}::bpchar collate ${column.collation} and ${exactly}`;
    case 'int2':
    case 'int4':
    case 'int8':
      // Only a number as Postgres prints it: 007 is not 7. The length comes first, for a longer one has no type.
      return `${raw} = case when ${id} ~ '^(0|-?[1-9][0-9]{0,18})$' then case when ${id}::numeric between -9223372036854775808 and 9223372036854775807 then ${id}::bigint end end`;
    case 'numeric':
      return `${raw} = case when ${id} ~ '^-?[0-9]{1,60}([.][0-9]{1,60})?$' then ${id}::numeric end and ${exactly}`;
    case 'uuid':
      return `${raw} = case when ${id} ~ '^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$' then ${id}::uuid end`;
    default:
      return null;
  }
}

/** What an index has to hold so that a column can be looked up by it. */
export function indexed(field: Field, column: Column): string {
  const name = /^[a-z_][a-z0-9_]*$/.test(column.name) ? column.name : quote(column.name);
  if (comparison(column, '', '', '') !== null || !['requestId', 'originalRequestId'].includes(field)) return name;
  return field === 'requestId' ? `hashtextextended(${name}::text, 0)` : `(${name}::text) collate "C"`;
}
