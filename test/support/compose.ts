import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { parse } from 'yaml';
import { debianProgram } from './debian.ts';

/** A service as docker-compose understands it, with everything that is shared filled in. */
export type Service = {
  readonly image?: string;
  readonly build?: { readonly context: string };
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly restart?: string;
  readonly user?: string;
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly init?: boolean;
  readonly stop_grace_period?: string;
};

/** What Debian's docker-compose makes of a file, which needs no engine. Throws with what it says where it does not accept it. */
export function composeConfig(file: string, env: Readonly<Record<string, string>> = {}): Record<string, Service> {
  const { path, root } = debianProgram('docker-compose', 'usr/bin/docker-compose');
  const text = execFileSync(path, ['--file', file, 'config'], {
    env: { PATH: process.env['PATH'], PYTHONPATH: join(root, 'usr/lib/python3/dist-packages'), ...env },
    encoding: 'utf8',
    stdio: 'pipe',
  });
  return (parse(text) as { services: Record<string, Service> }).services;
}
