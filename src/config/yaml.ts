import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type YAMLError } from 'yaml';
import { dotted, type Given, type Layer, type Path } from './raw.ts';

/** Sentences of our own: those of the parser quote the text, which may hold a password. */
const WRONG: Readonly<Partial<Record<YAMLError['code'], string>>> = {
  TAB_AS_INDENT: 'this is a tab: indent with spaces.',
  DUPLICATE_KEY: 'this key appears twice: keep one of them.',
  MULTIPLE_DOCS: 'a second document begins here, but all settings must be in one: remove the line with --- or ...',
  TAG_RESOLVE_FAILED: 'this is a tag (a word that starts with !): remove it.',
  NON_STRING_KEY: 'this key is not a text: write a name.',
  BAD_SCALAR_START: 'the value starts with a special character of YAML: put the value in quotes.',
  MISSING_CHAR:
    'something is missing here or before: a closing quote or bracket, a colon, the - of a list, or quotes around a value with brackets.',
  BAD_INDENT: 'the indentation is wrong, or a bracket is not closed.',
  BLOCK_AS_IMPLICIT_KEY: 'there is one colon too many, or the next line has the wrong indentation.',
  RESOURCE_EXHAUSTION: 'lists or keys are nested too deeply.',
};

/** With these mistakes the rest can still be read. */
const HARMLESS: readonly YAMLError['code'][] = ['DUPLICATE_KEY', 'MULTIPLE_DOCS', 'TAG_RESOLVE_FAILED'];

/** So often may an alias repeat what an anchor names. A few lines of aliases to aliases could otherwise fill the memory. */
const MAX_ALIASES = 100;

/**
 * Reads YAML, which JSON is, too. Values are taken as they are written: neither numbers nor yes and no are made of them.
 * `name` is what mistakes begin with, and `root` where in the settings the text belongs.
 */
export function readYaml(text: string, name: string, folder: string, root: Path = []): Layer {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    schema: 'failsafe',
    customTags: ['null'],
    stringKeys: true,
    prettyErrors: false,
    logLevel: 'error',
    lineCounter: lines,
  });
  const place = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${name}:${Math.max(line, 1)}:${Math.max(col, 1)}`;
  };
  const told = [...document.errors, ...document.warnings];
  // What follows the first mistake of a kind that confuses the parser is mostly its echo.
  const confusing = told.find(({ code }) => !HARMLESS.includes(code));
  const mistakes = told
    .filter((error) => error === confusing || HARMLESS.includes(error.code))
    .map(
      ({ code, pos }) =>
        `${place(pos[0])}: ${WRONG[code] ?? 'this is not valid YAML: a value with brackets or a colon needs quotes.'}`,
    );
  const offsets = new Map<string, number>([[dotted(root), 0]]);
  const given = confusing
    ? undefined
    : plain(document, {
        root,
        found: (path, offset) => offsets.set(dotted(path), offset),
        wrong: (offset, sentence) => mistakes.push(`${place(offset)}: ${sentence}`),
      });
  return {
    given,
    mistakes,
    folder,
    begin(path, shown) {
      // What is missing stands nowhere: then it is told where what lacks it stands.
      const known = path.findLastIndex((_, at) => offsets.has(dotted(path.slice(0, at + 1))));
      const offset = offsets.get(dotted(path.slice(0, known + 1))) ?? 0;
      const where = path.length === 0 ? '' : ` ${dotted(path)}:`;
      return `${place(offset)}:${where} ${shown === null ? '' : `"${shown}" `}`;
    },
  };
}

type Findings = {
  readonly root: Path;
  readonly found: (path: Path, offset: number) => void;
  readonly wrong: (offset: number, sentence: string) => void;
};

/** The document as plain values, and where each of its keys and items stands. */
function plain(document: Document.Parsed, { root, found, wrong }: Findings): Given {
  let aliases = 0;
  const read = (node: unknown, path: Path): Given => {
    if (isAlias(node)) {
      const target = node.resolve(document);
      const offset = node.range?.[0] ?? 0;
      if (!target) wrong(offset, 'there is no earlier anchor of this name: a value that starts with * needs quotes.');
      if (++aliases === MAX_ALIASES + 1) wrong(offset, `anchors are repeated more than ${MAX_ALIASES} times.`);
      return aliases > MAX_ALIASES ? undefined : read(target, path);
    }
    if (isSeq(node)) return node.items.map((item, at) => below(item, item, [...path, at]));
    if (isMap(node)) {
      return Object.fromEntries(
        node.items.map(({ key, value }) => {
          const name = isScalar(key) ? String(key.value) : '';
          return [name, below(key, value, [...path, name])];
        }),
      );
    }
    return isScalar(node) && typeof node.value === 'string' ? node.value : undefined;
  };
  const below = (shownAt: unknown, node: unknown, path: Path): Given => {
    found(path, (shownAt as { range?: readonly number[] } | null)?.range?.[0] ?? 0);
    return read(node, path);
  };
  const given = read(document.contents, root);
  return aliases > MAX_ALIASES ? undefined : given;
}
