import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Memory of processes together. PSS shares out what several of them use (libraries, Postgres's buffers); RSS counts it for each.
 * Anonymous is what they made themselves: of a program's file PSS is less while others run the same program.
 */
type Memory = { readonly pssBytes: number; readonly rssBytes: number; readonly anonymousBytes: number };

/** At the moment when all together had most, except where it says otherwise. */
export type Peak = {
  readonly pssBytes: number;
  readonly node: Memory;
  readonly postgres: Memory;
  /** The highest sum of RSS, whenever that was. */
  readonly peakRssBytes: number;
  readonly samples: number;
};

const EVERY_MS = 200;

/**
 * Watches the program and all that it started, and the Postgres of a data folder, until it is told to stop. Then tells the
 * peak, or null where there is no Linux /proc to ask.
 */
export function watchMemory(program: number, dataDir: string): () => Peak | null {
  let peak: Peak | null = null;
  let peakRssBytes = 0;
  let samples = 0;
  const look = () => {
    const postmaster = postmasterOf(dataDir);
    const servers = postmaster === null ? [] : family(postmaster);
    const node = memoryOf(family(program).filter((pid) => !servers.includes(pid)));
    const postgres = memoryOf(servers);
    if (node.pssBytes === 0) return;
    samples += 1;
    peakRssBytes = Math.max(peakRssBytes, node.rssBytes + postgres.rssBytes);
    const pssBytes = node.pssBytes + postgres.pssBytes;
    if (pssBytes > (peak?.pssBytes ?? 0)) peak = { pssBytes, node, postgres, peakRssBytes, samples };
  };
  const timer = setInterval(look, EVERY_MS);
  return () => {
    clearInterval(timer);
    return peak && { ...peak, peakRssBytes, samples };
  };
}

/** Seconds of all cores together. */
export type CpuSeconds = { readonly node: number; readonly postgres: number };

/** Adds up what the program and the Postgres of a data folder use of the processor, until it is told to stop; null without Linux' /proc. */
export function watchCpu(program: number, dataDir: string): () => CpuSeconds | null {
  const node = new Map<number, number>();
  const postgres = new Map<number, number>();
  /** The server ran before; what it did then is not this program's. */
  const before = new Map<number, number>();
  let isFirst = true;
  const look = () => {
    const postmaster = postmasterOf(dataDir);
    const servers = postmaster === null ? [] : family(postmaster);
    for (const pid of servers) {
      const seconds = cpuSecondsOf(pid);
      if (isFirst) before.set(pid, seconds);
      postgres.set(pid, Math.max(seconds - (before.get(pid) ?? 0), postgres.get(pid) ?? 0));
    }
    isFirst = false;
    for (const pid of family(program).filter((pid) => !servers.includes(pid)))
      node.set(pid, Math.max(cpuSecondsOf(pid), node.get(pid) ?? 0));
  };
  look();
  const timer = setInterval(look, EVERY_MS / 2);
  const sum = (of: ReadonlyMap<number, number>) => [...of.values()].reduce((total, seconds) => total + seconds, 0);
  return () => {
    clearInterval(timer);
    return sum(node) === 0 ? null : { node: sum(node), postgres: sum(postgres) };
  };
}

/** Times stand in hundredths of a second on every Linux; the name of the program before them may hold anything. */
function cpuSecondsOf(pid: number): number {
  const text = textOf(`/proc/${pid}/stat`);
  if (text === null) return 0;
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** The keeper writes down where its server is; the first line of its pid file is the server's process. */
function postmasterOf(dataDir: string): number | null {
  const text = textOf(join(dataDir, 'postgres/data/postmaster.pid'));
  return text === null ? null : Number.parseInt(text, 10);
}

/** A process and all that descend from it. */
function family(pid: number): number[] {
  const children = namesIn(`/proc/${pid}/task`).flatMap((thread) =>
    (textOf(`/proc/${pid}/task/${thread}/children`) ?? '').split(' ').filter(Boolean),
  );
  return [pid, ...children.flatMap((child) => family(Number(child)))];
}

function memoryOf(pids: readonly number[]): Memory {
  let pssBytes = 0;
  let rssBytes = 0;
  let anonymousBytes = 0;
  for (const pid of pids) {
    const rollup = textOf(`/proc/${pid}/smaps_rollup`) ?? '';
    pssBytes += kilobytes(rollup, 'Pss') * 1_024;
    rssBytes += kilobytes(rollup, 'Rss') * 1_024;
    anonymousBytes += kilobytes(rollup, 'Pss_Anon') * 1_024;
  }
  return { pssBytes, rssBytes, anonymousBytes };
}

const kilobytes = (rollup: string, name: string) =>
  Number(new RegExp(`^${name}: +(\\d+) kB`, 'm').exec(rollup)?.[1] ?? 0);

/** Processes end while they are looked at. */
function textOf(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

function namesIn(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
