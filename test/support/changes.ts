/**
 * Every single change of a clean day: a cell, a row, a column, a file or a record, each with what a reader needs to see it. Which of
 * them change nothing that anybody compares, `neutral.ts` says.
 */
import { basename, dirname } from 'node:path';
import type { CleanDay, Role, Sheet, SheetKind } from './clean-day.ts';

/** What lies there after a change: texts by path below the folder of all, where `{merchant}` stands for the merchant's; and its records. */
export type Delivery = { readonly files: Readonly<Record<string, string>>; readonly records: Sheet };

export type Change = {
  readonly kind: string;
  /** The sheet that changed. */
  readonly in: SheetKind;
  readonly file: string;
  /** As a reader of the file counts: the header is line 1. */
  readonly line: number | null;
  readonly column: string | null;
  readonly from: string;
  readonly to: string;
  /** The row as it was, by column. */
  readonly row: Readonly<Record<string, string>>;
  readonly apply: (day: CleanDay) => Delivery;
};

/** How a file is written down. */
type Style = {
  readonly newline?: string;
  readonly mark?: string;
  readonly quoted?: boolean;
  readonly padded?: boolean;
  readonly blanks?: boolean;
  readonly ragged?: boolean;
};

const cellOf = (text: string, { quoted, padded }: Style): string => {
  if (quoted || /[",\n\r]/.test(text)) return `"${text.replaceAll('"', '""')}"`;
  return padded ? ` ${text}  ` : text;
};

function print({ header, rows, end }: Sheet, style: Style = {}): string {
  const { newline = '\n', mark = '', blanks, ragged } = style;
  const lines = [header, ...rows].map(
    (cells) => cells.map((text) => cellOf(text, style)).join(',') + (ragged ? ',,' : ''),
  );
  const closed = [...lines, ...(end === null ? [] : [end])];
  return mark + closed.map((line) => line + newline + (blanks ? newline : '')).join('');
}

const pathOf = (sheet: Pick<Sheet, 'file'>) => `v/{merchant}/${sheet.file}`;

export function deliver(
  sheets: readonly Sheet[],
  more: Readonly<Record<string, string>> = {},
  style: Style = {},
): Delivery {
  const records = sheets.find(({ kind }) => kind === 'records')!;
  const reports = sheets.filter(({ kind }) => kind !== 'records');
  return {
    files: { ...Object.fromEntries(reports.map((sheet) => [pathOf(sheet), print(sheet, style)])), ...more },
    records,
  };
}

/** All of them, in one order. */
export function changesOf(day: CleanDay): Change[] {
  return [
    ...day.sheets.flatMap((sheet) => [...cellChanges(day, sheet), ...rowChanges(day, sheet)]),
    ...day.sheets
      .filter(({ kind }) => kind !== 'records')
      .flatMap((sheet) => [...columnChanges(day, sheet), ...fileChanges(day, sheet)]),
    ...styleChanges(day),
  ];
}

// ------------------------------------------------------------------------------------------------------------------ cells

type Edit = readonly [kind: string, to: string];

function cellChanges(day: CleanDay, sheet: Sheet): Change[] {
  return sheet.rows.flatMap((row, at) =>
    sheet.header.flatMap((column, index) => {
      const from = row[index]!;
      const role = day.roles[column] ?? { is: 'text' as const };
      return editsOf(day, sheet, role, column, from, at)
        .filter(([, to]) => to !== from)
        .map(
          ([kind, to]): Change => ({
            ...placed(day, sheet, kind, at),
            column,
            from,
            to,
            apply: () =>
              deliver(
                replaced(day, sheet, {
                  rows: sheet.rows.with(at, filled(sheet, role, row.with(index, to), from, day)),
                }),
              ),
          }),
        );
    }),
  );
}

/** An amount that is put where none stood comes with its currency. */
function filled(sheet: Sheet, role: Role, row: readonly string[], from: string, day: CleanDay): readonly string[] {
  if (role.is !== 'amount' || from !== '') return row;
  const currency = sheet.header.indexOf(role.currencyColumn);
  return row[currency] === '' ? row.with(currency, day.currency) : row;
}

function editsOf(day: CleanDay, sheet: Sheet, role: Role, column: string, from: string, at: number): Edit[] {
  const others = sheet.rows
    .map((row) => row[sheet.header.indexOf(column)]!)
    .filter((text) => text !== '' && text !== from);
  const emptied = (name: string): Edit[] => (from === '' ? [] : [[`${name} emptied`, '']]);
  if (role.is === 'amount') {
    if (from === '') return [['blank amount filled', '7.77']];
    const number = Number(from);
    const isZero = number === 0;
    return [
      ['amount by a unit', (number + 0.01).toFixed(2)],
      ['amount by three units', (number - 0.03).toFixed(2)],
      ...(isZero
        ? []
        : ([
            ['amount ten times', (number * 10).toFixed(2)],
            ['amount with the other sign', (-number).toFixed(2)],
          ] as Edit[])),
      ['amount unreadable', `${from}x`],
      ...emptied('amount'),
    ];
  }
  if (role.is === 'currency')
    return from === ''
      ? []
      : [['currency', from === 'GBP' ? 'CHF' : 'GBP'], ['currency unknown', 'XQQ'], ...emptied('currency')];
  if (role.is === 'id')
    return from === ''
      ? [['blank id filled', 'q-1']]
      : [
          ['id', `${from}9`],
          ['id in another case', from === from.toUpperCase() ? from.toLowerCase() : from.toUpperCase()],
          ...others.slice(at % 2, (at % 2) + 1).map((other): Edit => ['id of another row', other]),
          ...emptied('id'),
        ];
  if (role.is === 'type') {
    const known =
      sheet.kind === 'records' ? ['PAYMENT', 'AUTHORIZATION', 'CAPTURE', 'REFUND', 'CANCEL', 'VOID'] : day.words.types;
    return [...known.map((type): Edit => ['type', type]), ['type unknown', 'SURPRISE'], ...emptied('type')];
  }
  if (role.is === 'status') {
    const known =
      sheet.kind === 'records' ? ['SUCCESS', 'PENDING', 'FAILED', 'CANCELLED'] : [day.words.done, day.words.notDone];
    return [...known.map((status): Edit => ['status', status]), ['status unknown', 'LOST'], ...emptied('status')];
  }
  if (role.is === 'price')
    return from === ''
      ? [['blank price filled', '1.5']]
      : [
          ['price', (Number(from) * 1.1).toFixed(5)],
          ['price ten times', String(Number(from) * 10)],
          ['price with the other sign', `-${from}`],
          ...emptied('price'),
        ];
  if (role.is === 'pair')
    return from === ''
      ? [['blank pair filled', 'GBP/CHF']]
      : [['pair', from.split('/').reverse().join('/')], ['pair', 'GBP/CHF'], ...emptied('pair')];
  if (role.is === 'count')
    return [
      ['count by one', String(Number(from) + 1)],
      ['count ten times', `${from}0`],
      ['count with the other sign', `-${from}`],
      ...emptied('count'),
    ];
  if (role.is === 'time')
    return from === ''
      ? []
      : [['time', from.replace(/-0\d-\d\d/, '-01-15')], ['time unreadable', `${from}x`], ...emptied('time')];
  if (role.is === 'zone') return [['zone unknown', 'QST'], ...emptied('zone')];
  return [['text', `${from} (other)`], ...emptied('text')];
}

// ------------------------------------------------------------------------------------------------------------------- rows

function rowChanges(day: CleanDay, sheet: Sheet): Change[] {
  const { rows, header } = sheet;
  const change = (kind: string, at: number, to: string, changed: readonly (readonly string[])[]): Change => ({
    ...placed(day, sheet, kind, at),
    to,
    apply: () => deliver(replaced(day, sheet, { rows: changed })),
  });
  const isId = (column: string) => day.roles[column]?.is === 'id';
  return rows.flatMap((row, at) => {
    const last = rows.length;
    const renamed = row.map((text, index) =>
      isId(header[index]!) && /^(?:t|our|mod|psp)-/.test(text) ? `${text}-2` : text,
    );
    const added = row.map((text, index) => (isId(header[index]!) && /-\d+$/.test(text) ? `${text}7` : text));
    return [
      change('row dropped', at, '', rows.toSpliced(at, 1)),
      change('row doubled', at, row.join(','), rows.toSpliced(last, 0, row)),
      ...(renamed.join() === row.join()
        ? []
        : [
            change(
              "row doubled under another id of the provider's",
              at,
              renamed.join(','),
              rows.toSpliced(at, 0, renamed),
            ),
          ]),
      ...(added.join() === row.join() ? [] : [change('row added', at, added.join(','), rows.toSpliced(at, 0, added))]),
    ];
  });
}

// ---------------------------------------------------------------------------------------------------------------- columns

function columnChanges(day: CleanDay, sheet: Sheet): Change[] {
  const { header, rows } = sheet;
  const change = (kind: string, column: string | null, to: string, changed: Partial<Sheet>): Change => ({
    ...placed(day, sheet, kind, null),
    line: 1,
    column,
    from: column ?? '',
    to,
    apply: () => deliver(replaced(day, sheet, changed)),
  });
  const withColumn = (kind: string, name: string, cell: (at: number) => string) =>
    change(kind, null, name, { header: [...header, name], rows: rows.map((row, at) => [...row, cell(at)]) });
  const status = header.some((column) => day.roles[column]?.is === 'status')
    ? []
    : [
        withColumn('column status added, nothing done', 'status', () => day.words.notDone),
        withColumn('column status added, unknown words', 'status', () => 'paid'),
        withColumn('column status added, one not done', 'status', (at) => (at === 0 ? 'FAILED' : day.words.done)),
        withColumn('column status added, all done', 'status', () => day.words.done),
      ];
  return [
    ...header.flatMap((column, index) => [
      change('column renamed', column, `${column} (new)`, { header: header.with(index, `${column} (new)`) }),
      change('column gone', column, '', {
        header: header.toSpliced(index, 1),
        rows: rows.map((row) => row.toSpliced(index, 1)),
      }),
      change('column twice', column, column, {
        header: [...header, column],
        rows: rows.map((row) => [...row, row[index]!]),
      }),
    ]),
    ...status,
    withColumn('textual column added', 'remark', (at) => `remark ${at}`),
    withColumn('empty column added', 'nothing', () => ''),
    change('columns in another order', null, '', {
      header: header.toReversed(),
      rows: rows.map((row) => row.toReversed()),
    }),
    change('rows in another order', null, '', { rows: rows.toReversed() }),
  ];
}

// ------------------------------------------------------------------------------------------------------------------ files

function fileChanges(day: CleanDay, sheet: Sheet): Change[] {
  const path = pathOf(sheet);
  const text = print(sheet);
  const without = () => deliver(day.sheets.filter((other) => other !== sheet));
  const change = (kind: string, to: string, files: Readonly<Record<string, string>>): Change => ({
    ...placed(day, sheet, kind, null),
    to,
    apply: () => ({ files: { ...without().files, ...files }, records: without().records }),
  });
  const named = (name: string) => `${dirname(path)}/${name}`;
  const name = basename(path);
  const lines = text.split('\n').slice(0, -1);
  const cut = (to: number) =>
    lines
      .slice(0, to)
      .map((line) => `${line}\n`)
      .join('');
  const older = print(olderOf(day, sheet));
  const elsewhere = (folder: string) => path.replace(/^v/, folder);
  const withDate = (date: string) => path.replace(/\/\d{8}\//, `/${date}/`);
  const other = {
    'batch id in its name': name.replace(/(B1|7)(?=[_.])/, '8'),
    'currency in its name': name.replace(/USD|EUR/, 'GBP'),
    'part in its name': name.replace('_000', '_001'),
    'date in its name': name.replace(/\d{8}/, '20260309'),
  };
  return [
    change('file dropped', '', {}),
    change('file cut to nothing', '', { [path]: '' }),
    change('file cut behind its header', lines[0]!, { [path]: cut(1) }),
    ...lines.slice(2).map((_, at) => change('file cut behind a line', `${at + 2} lines`, { [path]: cut(at + 2) })),
    ...[1, 2, 3, 4, 5].map((sixth) =>
      change('file cut inside', `${sixth} sixths`, { [path]: text.slice(0, Math.floor((text.length * sixth) / 6)) }),
    ),
    change('file renamed', `old ${name}`, { [named(`old ${name}`)]: text }),
    change('file with another extension', `${name}.txt`, { [named(`${name}.txt`)]: text }),
    ...Object.entries(other)
      .filter(([, changed]) => changed !== name)
      .map(([what, changed]) => change(`file with another ${what}`, changed, { [named(changed)]: text })),
    ...['backup', 'z-backup'].map((folder) =>
      change('older content beside it', elsewhere(folder), { [path]: text, [elsewhere(folder)]: older }),
    ),
    change('older content of an older day beside it', withDate('20250303'), {
      [path]: text,
      [withDate('20250303')]: older,
    }),
    change('older content of a newer day beside it', withDate('20260309'), {
      [path]: text,
      [withDate('20260309')]: older,
    }),
    change('the same content beside it', elsewhere('backup'), { [path]: text, [elsewhere('backup')]: text }),
    change('name in another case', name.replace(/csv$/, 'CSV'), { [named(name.replace(/csv$/, 'CSV'))]: text }),
  ];
}

/** What it said before: one amount was another one. */
function olderOf(day: CleanDay, sheet: Sheet): Sheet {
  const index = sheet.header.findLastIndex(
    (column, at) => day.roles[column]?.is === 'amount' && sheet.rows[0]![at] !== '',
  );
  const [first, ...rest] = sheet.rows;
  return { ...sheet, rows: [first!.with(index, '1.00'), ...rest] };
}

function styleChanges(day: CleanDay): Change[] {
  const styles: Record<string, Style> = {
    'lines end as on Windows': { newline: '\r\n' },
    'byte order mark': { mark: '\ufeff' },
    'all cells quoted': { quoted: true },
    'white space around cells': { padded: true },
    'blank lines': { blanks: true },
    'more cells than columns': { ragged: true },
  };
  return Object.entries(styles).map(([kind, style]) => ({
    ...placed(day, day.sheets[0]!, kind, null),
    file: 'every file',
    apply: () => deliver(day.sheets, {}, style),
  }));
}

// ----------------------------------------------------------------------------------------------------------------- helpers

const replaced = (day: CleanDay, sheet: Sheet, changed: Partial<Sheet>): Sheet[] =>
  day.sheets.map((other) => (other === sheet ? { ...sheet, ...changed } : other));

function placed(day: CleanDay, sheet: Sheet, kind: string, at: number | null): Change {
  const row =
    at === null ? {} : Object.fromEntries(sheet.header.map((column, index) => [column, sheet.rows[at]![index]!]));
  return {
    kind,
    in: sheet.kind,
    file: sheet.file,
    line: at === null ? null : at + 2,
    column: null,
    from: '',
    to: '',
    row,
    apply: () => deliver(day.sheets),
  };
}

/** One line for a person. */
export const say = ({ kind, file, line, column, from, to }: Change): string =>
  `${kind}: ${file}${line === null ? '' : `:${line}`}${column === null ? '' : ` ${column}`}${from || to ? ` "${from}" → "${to}"` : ''}`;

/** Some of each kind, others for another seed: first one of every kind, then a second one, and so on. */
export function sliceOf<C extends { readonly kind: string }>(changes: readonly C[], seed: number, wanted: number): C[] {
  let state = seed >>> 0;
  const random = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state;
  };
  const shuffled = changes.map((change) => ({ change, at: random() })).sort((a, b) => a.at - b.at);
  const seen = new Map<string, number>();
  const ranked = shuffled.map(({ change }) => {
    const rank = seen.get(change.kind) ?? 0;
    seen.set(change.kind, rank + 1);
    return { change, rank };
  });
  return ranked
    .sort((a, b) => a.rank - b.rank)
    .slice(0, wanted)
    .map(({ change }) => change);
}
