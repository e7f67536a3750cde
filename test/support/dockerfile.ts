/** A Dockerfile without Docker: its steps are done by hand, each stage in a folder that stands for its root. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';

export type Image = {
  /** Stands for `/`. */
  readonly root: string;
  readonly env: Readonly<Record<string, string>>;
  readonly user: string | null;
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  readonly healthcheck: readonly string[];
  readonly volumes: readonly string[];
  /** Paths that belong to somebody else than root, with whom. */
  readonly owners: Readonly<Record<string, string>>;
};

type Stage = { -readonly [K in keyof Image]: Image[K] } & { workdir: string };

/** Builds the last stage below `folder`. */
export function buildByHand(dockerfile: string, folder: string): Image {
  const context = resolve(dockerfile, '..');
  const mayCopy = allowedBy(readFileSync(join(context, '.dockerignore'), 'utf8'));
  const stages = new Map<string, Stage>();
  let stage: Stage | undefined;
  for (const [instruction, rest] of instructionsOf(readFileSync(dockerfile, 'utf8'))) {
    if (instruction === 'ARG') continue;
    if (instruction === 'FROM') {
      const name = /\sAS\s+(\S+)$/i.exec(rest)?.[1] ?? `stage ${stages.size}`;
      stage = { ...EMPTY, root: join(folder, name) };
      stages.set(name, stage);
      mkdirSync(stage.root, { recursive: true });
      continue;
    }
    if (!stage) throw new Error(`${instruction} stands before any FROM`);
    doStep(stage, instruction, rest, { context, mayCopy, stages });
  }
  return stage!;
}

const EMPTY: Stage = {
  root: '',
  env: {},
  user: null,
  entrypoint: [],
  command: [],
  healthcheck: [],
  volumes: [],
  owners: {},
  workdir: '/',
};

type Around = {
  readonly context: string;
  readonly mayCopy: (path: string) => boolean;
  readonly stages: ReadonlyMap<string, Stage>;
};

function doStep(stage: Stage, instruction: string, rest: string, around: Around): void {
  const list = () => JSON.parse(rest.slice(rest.indexOf('['))) as string[];
  if (instruction === 'WORKDIR') {
    stage.workdir = rest;
    mkdirSync(join(stage.root, rest), { recursive: true });
  } else if (instruction === 'RUN') run(stage, rest, around.context);
  else if (instruction === 'COPY') copy(stage, rest.split(/\s+/), around);
  else if (instruction === 'ENV') {
    const pairs = rest.split(/\s+/).map((pair) => pair.split('=') as [string, string]);
    stage.env = { ...stage.env, ...Object.fromEntries(pairs) };
  } else if (instruction === 'USER') stage.user = rest;
  else if (instruction === 'VOLUME') stage.volumes = [...stage.volumes, rest];
  else if (instruction === 'ENTRYPOINT') stage.entrypoint = list();
  else if (instruction === 'CMD') stage.command = list();
  else if (instruction === 'HEALTHCHECK') stage.healthcheck = list();
  else if (instruction !== 'EXPOSE') throw new Error(`${instruction} is not known here: teach it to this test`);
}

function run({ root, workdir, env }: Stage, command: string, context: string): void {
  const folder = join(root, workdir);
  // A checkout has what this makes: the same packages of the same lock file, without its half a minute.
  if (/^npm ci(?!.*--omit)/.test(command)) symlinkSync(join(context, 'node_modules'), join(folder, 'node_modules'));
  else {
    const { NODE_ENV: _, ...ours } = process.env;
    execFileSync('/bin/sh', ['-c', command], { cwd: folder, env: { ...ours, ...env }, stdio: 'pipe' });
  }
}

function copy(stage: Stage, words: readonly string[], { context, mayCopy, stages }: Around): void {
  const option = (name: string) => words.find((word) => word.startsWith(`--${name}=`))?.slice(name.length + 3);
  const paths = words.filter((word) => !word.startsWith('--'));
  const to = paths.at(-1)!;
  const from = option('from');
  const owner = option('chown');
  for (const path of paths.slice(0, -1)) {
    if (from === undefined && !mayCopy(path)) throw new Error(`.dockerignore keeps ${path} out of the build`);
    const source = from === undefined ? join(context, path) : join(stages.get(from)!.root, path);
    const target = resolve(stage.workdir, to.endsWith('/') ? join(to, path) : to);
    // From stage to stage by hard links: there are thousands of files.
    if (from !== undefined) execFileSync('cp', ['-al', source, join(stage.root, target)], { stdio: 'pipe' });
    else cpSync(source, join(stage.root, target), { recursive: true, verbatimSymlinks: true });
    if (owner !== undefined) stage.owners = { ...stage.owners, [target]: owner };
  }
}

/** Each instruction on one line, without comments. */
const instructionsOf = (text: string): [string, string][] =>
  text
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n')
    .replaceAll(/\\\n\s*/g, ' ')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const [instruction = ''] = line.split(/\s/, 1);
      return [instruction, line.slice(instruction.length).trim()];
    });

/** Ours shuts everything out and then lets some in, by their first folder. */
function allowedBy(dockerignore: string): (path: string) => boolean {
  const lines = dockerignore.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  if (lines[0] !== '*' || !lines.slice(1).every((line) => line.startsWith('!')))
    throw new Error('.dockerignore is not as this test knows it');
  return (path) => lines.includes(`!${path.split('/')[0]}`);
}
