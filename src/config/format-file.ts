import { createHash } from 'node:crypto';
import { dirname, resolve } from 'node:path';
import { UsageError } from '../domain/errors.ts';
import { formatNamed } from '../domain/formats/all.ts';
import { type AmountColumn, type Format, MEANINGS, type ReportKind, type TypeRule } from '../domain/formats/format.ts';
import { isAmbiguous } from '../domain/report/report-name.ts';
import { linesOf, nearest } from './errors.ts';
import { readTextFile } from './files.ts';
import { AMBIGUOUS_NAME, formatShape, type GivenFormat } from './format-shape.ts';
import { isGroup, type Layer, type Path, withoutBlanks } from './raw.ts';
import { readYaml } from './yaml.ts';

/**
 * Reads a format of one's own. Its id ends in a hash of all that it says, that of the format it extends included: what was
 * read under it can be told from what is read after a change.
 * @throws UsageError with a line for every mistake: where it was made, what is wrong and what is allowed.
 */
export function loadFormat(path: string, name = path): Format {
  const layer = readYaml(readTextFile(path, name), name, dirname(resolve(path)));
  const { given, wrong, lines } = readParts(layer);
  const format = complete(given);
  const mistakes = [...layer.mistakes, ...lines];
  // What cannot be read at all says nothing of how its parts fit together.
  if (layer.mistakes.length === 0 && isGroup(layer.given)) {
    for (const { needs, path, message } of misfits(format, given))
      if (!needs.some((part) => wrong.has(part))) mistakes.push(layer.begin(path, null) + message);
  }
  if (mistakes.length > 0) throw new UsageError(mistakes.join('\n'));
  const hash = createHash('sha256').update(JSON.stringify(format)).digest('hex');
  return { ...format, id: `${format.name}@${hash.slice(0, 12)}` };
}

type Part = keyof GivenFormat;

/** The parts that are right, so that they can be checked against each other although others are wrong. */
function readParts(layer: Layer) {
  // Of a file that is no YAML there is nothing else to say.
  if (layer.given === undefined && layer.mistakes.length > 0) return { given: {}, wrong: new Set<Part>(), lines: [] };
  const read = formatShape.safeParse(layer.given ?? {});
  if (read.success) return { given: withoutBlanks(read.data) as GivenFormat, wrong: new Set<Part>(), lines: [] };
  const wrong = new Set(read.error.issues.map(({ path }) => path[0] as Part));
  const right = Object.entries(isGroup(layer.given) ? layer.given : {}).flatMap(([part, value]) => {
    const shape = formatShape.shape[part as Part];
    return shape === undefined || wrong.has(part as Part) ? [] : [[part, shape.parse(value)]];
  });
  const given = withoutBlanks(Object.fromEntries(right)) as GivenFormat;
  return { given, wrong, lines: linesOf(read.error.issues, layer) };
}

const hasNames = (format: Format, kind: ReportKind): boolean =>
  format.names[kind].length + format.portalNames[kind].length > 0;

const KINDS: readonly ReportKind[] = ['transactionDetails', 'settlementDetails', 'settlementSummary'];
const forKinds = <T>(of: (kind: ReportKind) => T) =>
  Object.fromEntries(KINDS.map((kind) => [kind, of(kind)])) as Record<ReportKind, T>;

/** What a format says that extends no other, and leaves everything out. */
const EMPTY: Format = {
  name: '',
  id: '',
  extensions: ['csv', 'xlsx', 'zip'],
  directory: '/{merchantId}/{date}',
  names: forKinds(() => []),
  portalNames: forKinds(() => []),
  endMarker: null,
  columns: forKinds(() => []),
  required: forKinds(() => []),
  aliases: {},
  amounts: forKinds(() => []),
  deducted: {},
  priceNeedsNoPair: false,
  mayBeUnsettled: false,
  doneStatuses: [],
  times: {},
  zones: {},
  typeNames: {},
  types: {},
};

/** What is given replaces what the base says under the same key; columns and amounts are added to the base's. */
function complete(given: GivenFormat): Format {
  const base = given.extends === undefined ? EMPTY : formatNamed(given.extends);
  const amounts = forKinds((kind) => over(base.amounts[kind], given.amounts?.[kind] as AmountColumn[] | undefined));
  const { extends: _, notDoneStatuses: _given, ...said } = given;
  const { notDoneStatuses: _base, ...below } = base;
  const format = {
    ...below,
    ...said,
    id: '',
    name: given.name ?? '',
    names: { ...base.names, ...given.names },
    portalNames: { ...base.portalNames, ...given.portalNames },
    required: { ...base.required, ...given.required },
    aliases: { ...base.aliases, ...given.aliases },
    amounts,
    deducted: { ...base.deducted, ...given.deducted },
    ...statusesOf(base, given),
    times: { ...base.times, ...given.times },
    zones: { ...base.zones, ...given.zones },
    typeNames: { ...base.typeNames, ...given.typeNames },
    types: { ...base.types, ...rulesOf(given) },
  } as Format;
  const columns = forKinds((kind) => [
    ...new Set([...base.columns[kind], ...(isSpokenOf(format, given, kind) ? columnsOf(format, given, kind) : [])]),
  ]);
  return { ...format, columns };
}

/** Names may also stand where a source names its own: what the format says of that kind is kept for them. */
const isSpokenOf = (format: Format, given: GivenFormat, kind: ReportKind): boolean =>
  hasNames(format, kind) || [given.columns, given.required, given.amounts].some((part) => part?.[kind] !== undefined);

/** What is given under one of the lists is taken out of the other, where that is the base's. */
function statusesOf(base: Format, given: GivenFormat): Pick<Format, 'doneStatuses' | 'notDoneStatuses'> {
  const upper = (words: readonly string[] = []) => words.map((word) => word.toUpperCase());
  const [done, notDone] = [upper(given.doneStatuses), upper(given.notDoneStatuses)];
  const left = (words: readonly string[] | undefined, taken: readonly string[]) =>
    (words ?? []).filter((word) => !taken.includes(word));
  const doneStatuses = done.length > 0 ? done : left(base.doneStatuses, notDone);
  const notDoneStatuses = notDone.length > 0 ? notDone : left(base.notDoneStatuses, done);
  // Left out where it says nothing, so that a format which needs none keeps its id.
  return { doneStatuses, ...(notDoneStatuses.length > 0 ? { notDoneStatuses } : {}) };
}

/** An amount of the same column takes the place of the base's. */
const over = (base: readonly AmountColumn[], given: readonly AmountColumn[] = []): AmountColumn[] => [
  ...base.map((amount) => given.find(({ column }) => column === amount.column) ?? amount),
  ...given.filter(({ column }) => !base.some((amount) => amount.column === column)),
];

const columnsOf = (format: Format, given: GivenFormat, kind: ReportKind): readonly string[] => [
  ...MEANINGS,
  ...(given.columns?.[kind] ?? []),
  ...format.amounts[kind].flatMap(({ column, debitColumn, currencyColumn }) =>
    debitColumn === undefined ? [column, currencyColumn] : [column, debitColumn, currencyColumn],
  ),
];

/** Where nothing is said a row has its own id just if it is found by it. All that is said arrives; a `false` says nothing. */
const rulesOf = ({ types = {} }: GivenFormat): Record<string, TypeRule> =>
  Object.fromEntries(
    Object.entries(types).map(([type, { ownId, matchBy, holding, ...said }]) => [
      type,
      {
        ownId: ownId ?? matchBy === 'own',
        matchBy,
        ...(Object.fromEntries(Object.entries(said).filter(([, value]) => value !== false)) as Partial<TypeRule>),
        ...(holding === undefined ? {} : { holding }),
      },
    ]),
  );

/** A part that does not fit the others. `needs`: all that was looked at. */
type Misfit = { readonly needs: readonly Part[]; readonly path: Path; readonly message: string };

function misfits(format: Format, given: GivenFormat): Misfit[] {
  const kinds = KINDS.filter((kind) => hasNames(format, kind));
  if (kinds.length === 0) {
    const message = 'is missing: add the name patterns of the reports in this format';
    return [{ needs: ['extends', 'names', 'portalNames'], path: ['names'], message }];
  }
  return [
    ...kinds.flatMap((kind) => [
      ...nameMisfits(kind, format),
      ...amountMisfits(kind, format),
      ...keyMisfits(kind, format),
    ]),
    ...statusMisfits(format, given),
    ...columnMisfits(format, given),
    ...typeNameMisfits(format, given),
    ...zoneMisfits(format, given),
  ];
}

function nameMisfits(kind: ReportKind, format: Format): Misfit[] {
  const isDay = kind === 'transactionDetails';
  const mistakeIn = (name: string): string | null => {
    if (!isDay) {
      if (!name.includes('{batchId}')) return 'lacks {batchId}: the name must say which batch the report belongs to';
      return isAmbiguous(name) ? AMBIGUOUS_NAME : null;
    }
    const saysDay = [name, format.directory].some((pattern) => pattern.includes('{date}'));
    return saysDay ? null : 'lacks {date}: the name or the directory must contain the day';
  };
  return (['names', 'portalNames'] as const).flatMap((part) =>
    format[part][kind].flatMap((name, at) => {
      const message = mistakeIn(name);
      return message === null
        ? []
        : [{ needs: ['extends', part, 'directory'] as const, path: [part, kind, at], message }];
    }),
  );
}

/** What the rows of a report must say, for anything to be compared. */
const NEEDED = {
  transactionDetails: { roles: ['transaction'], columns: ['transactionType'] },
  settlementDetails: { roles: ['transaction', 'settlement'], columns: ['transactionType'] },
  settlementSummary: { roles: ['settlement'], columns: ['settlementBatchId'] },
} as const;

const amountMisfits = (kind: ReportKind, format: Format): Misfit[] =>
  NEEDED[kind].roles
    .filter((role) => format.amounts[kind].filter((amount) => amount.role === role).length !== 1)
    .map((role) => ({
      needs: ['extends', 'names', 'portalNames', 'amounts'],
      path: ['amounts', kind],
      message: `needs exactly one amount with the role ${role}`,
    }));

const keyMisfits = (kind: ReportKind, format: Format): Misfit[] =>
  NEEDED[kind].columns
    .filter((column) => !format.required[kind].includes(column))
    .map((column) => ({
      needs: ['extends', 'names', 'portalNames', 'required'],
      path: ['required', kind],
      message: `must name the columns that identify such a report, including ${column}`,
    }));

/** Whether a row is done is said by words, and nobody but the format knows what these mean. */
function statusMisfits(format: Format, given: GivenFormat): Misfit[] {
  const needs = ['extends', 'doneStatuses', 'notDoneStatuses'] as const;
  const { doneStatuses, notDoneStatuses = [] } = format;
  const twice = notDoneStatuses.filter((word) => doneStatuses.includes(word));
  if (twice.length > 0) {
    const message = `${twice.join(', ')} is also under doneStatuses: keep one`;
    return [{ needs, path: ['notDoneStatuses'], message }];
  }
  const mentions: readonly (readonly [Part, ...Path])[] = [
    ...(given.aliases?.['status'] ? [['aliases', 'status'] as const] : []),
    ...(['required', 'columns'] as const).flatMap((part) =>
      Object.entries(given[part] ?? {}).flatMap(([kind, columns = []]) =>
        columns.flatMap((column, at) => (column === 'status' ? [[part, kind, at] as const] : [])),
      ),
    ),
  ];
  const [first] = mentions;
  if (first === undefined || doneStatuses.length + notDoneStatuses.length > 0) return [];
  const message =
    'is read, but its values are not defined: list those of done transactions under doneStatuses and the others under notDoneStatuses, as in doneStatuses: [paid] and notDoneStatuses: [pending, failed]';
  return [{ needs: [...needs, first[0]], path: first, message }];
}

/** Columns that are only mentioned, and are read nowhere: they are misspelt. */
function columnMisfits(format: Format, given: GivenFormat): Misfit[] {
  const known = [...new Set(KINDS.flatMap((kind) => format.columns[kind]))];
  const mentioned: readonly { readonly path: readonly [Part, ...Path]; readonly column: string }[] = [
    ...Object.keys(given.aliases ?? {}).map((column) => ({ path: ['aliases', column] as const, column })),
    ...Object.entries(given.required ?? {}).flatMap(([kind, columns = []]) =>
      columns.map((column, at) => ({ path: ['required', kind, at] as const, column })),
    ),
    ...Object.entries(given.deducted ?? {}).flatMap(([acquirer, columns]) =>
      columns.map((column, at) => ({ path: ['deducted', acquirer, at] as const, column })),
    ),
    ...Object.entries(given.times ?? {}).flatMap(([time, { zoneColumn: column } = {}]) =>
      column === undefined ? [] : [{ path: ['times', time, 'zoneColumn'] as const, column }],
    ),
    ...Object.entries(given.types ?? {}).flatMap(([type, { ids = {} }]) =>
      Object.entries(ids).flatMap(([id, column]) =>
        typeof column === 'string' ? [{ path: ['types', type, 'ids', id] as const, column }] : [],
      ),
    ),
  ];
  return mentioned
    .filter(({ column }) => !known.includes(column))
    .map(({ path, column }) => {
      const meant = nearest(column, known);
      const hint = meant === undefined ? '' : `; did you mean ${meant}?`;
      const message = `${column} is neither a column that is read nor one under columns${hint}`;
      return { needs: ['extends', 'names', 'portalNames', 'columns', 'amounts', path[0]], path, message };
    });
}

const typeNameMisfits = (format: Format, given: GivenFormat): Misfit[] =>
  Object.entries(given.typeNames ?? {})
    .filter(([, type]) => !Object.hasOwn(format.types, type))
    .map(([printed, type]) => ({
      needs: ['extends', 'types', 'typeNames'],
      path: ['typeNames', printed],
      message: `${type} is missing under types, which define how such rows are matched`,
    }));

const zoneMisfits = (format: Format, given: GivenFormat): Misfit[] =>
  Object.entries(given.times ?? {})
    .filter(([, time]) => time?.zoneColumn !== undefined && Object.keys(format.zones).length === 0)
    .map(([time]) => ({
      needs: ['extends', 'times', 'zones'],
      path: ['times', time],
      message: 'names a column of time zones, but zones defines no offset',
    }));
