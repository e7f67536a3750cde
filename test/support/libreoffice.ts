import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { debianProgram, type Program } from './debian.ts';

const run = promisify(execFile);
const TIMEOUT_SECONDS = 120;

/**
 * The file as LibreOffice writes it after reading it; returns the path of what it wrote into `folder`. `to` is an extension, or one with a
 * filter and its settings: `fods`, `xlsx`, `csv:Text - txt - csv (StarCalc):44,34,76`. Any number may be converted at once.
 */
export async function convert(path: string, to: string, folder: string): Promise<string> {
  const program = debianProgram('libreoffice-calc-nogui', 'usr/bin/soffice');
  // A LibreOffice refuses, or hands its work to, another one with the same profile: each has its own.
  const own = mkdtempSync(join(tmpdir(), 'settlestream-libreoffice-'));
  const out = join(own, 'out');
  mkdirSync(out);
  const args = [...settingsOf(program, join(own, 'profile')), '--headless', '--convert-to', to, '--outdir', out, path];
  try {
    // `timeout` ends the whole group: soffice is a script, and what it has started would outlive it.
    const { stdout, stderr } = await run('timeout', ['--signal=KILL', `${TIMEOUT_SECONDS}`, program.path, ...args], {
      env: { ...process.env, HOME: own, LD_LIBRARY_PATH: librariesOf(program) },
    }).catch((error: Error & { stdout: string; stderr: string; signal?: string }) => {
      const why = error.signal === 'SIGKILL' ? `not done after ${TIMEOUT_SECONDS} s` : error.message;
      throw new Error(`LibreOffice could not make ${to} of ${path}: ${why}\n${error.stdout}${error.stderr}`);
    });
    // It ends with 0 even when it could not read the file.
    const [made] = readdirSync(out);
    if (made === undefined) throw new Error(`LibreOffice made no ${to} of ${path}:\n${stdout}${stderr}`);
    mkdirSync(folder, { recursive: true });
    copyFileSync(join(out, made), join(folder, made));
    return join(folder, made);
  } finally {
    rmSync(own, { recursive: true, force: true });
  }
}

/** One that was unpacked and not installed looks for its parts below /usr/lib and /etc: it is told where they are. */
function settingsOf({ root }: Program, profile: string): string[] {
  const settings: Record<string, string> = { UserInstallation: pathToFileURL(profile).href };
  if (root !== '') {
    const base = pathToFileURL(join(root, 'usr/lib/libreoffice')).href;
    // Installing copies this folder to /etc/libreoffice/registry.
    const registry = `${base}/share/.registry`;
    const written = `${settings['UserInstallation']}/user/registrymodifications.xcu`;
    settings['BRAND_BASE_DIR'] = base;
    settings['CONFIGURATION_LAYERS'] = `xcsxcu:${registry} res:${registry} user:!${written}`;
  }
  return Object.entries(settings).map(([name, value]) => `-env:${name}=${value}`);
}

/** Its own libraries first: found through the links beside the system's, they would look there for `unorc`. */
const librariesOf = ({ root, libraries }: Program): string =>
  root === '' ? libraries : `${join(root, 'usr/lib/libreoffice/program')}:${libraries}`;
