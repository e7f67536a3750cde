import { writeSync } from 'node:fs';
import { Unreachable, UsageError } from '../domain/errors.ts';

/** As in the log. */
const WARN = 40;
const ERROR = 50;
const FATAL = 60;

/** Says a sentence on stderr, beside the log. */
export type Say = (level: typeof WARN | typeof ERROR | typeof FATAL, message: string, fields?: object) => void;

export type Words = {
  readonly say: Say;
  /** From here on a service runs. Where its stderr is no terminal all of it is JSON, a line each, as its log is. */
  becomeLog(): void;
};

/**
 * Takes over what a process says beside its log: Node's warnings, what libraries print, and its last words. Only what Node itself says
 * when it runs out of memory stays as it is.
 */
export function takeOverWords(): Words {
  let isJson = false;
  const say: Say = (level, message, fields = {}) => {
    if (isJson) return writeLine(JSON.stringify({ level, time: new Date().toISOString(), ...fields, msg: message }));
    const { error } = fields as { error?: string };
    return writeLine(`settlestream: ${level === WARN ? 'warning: ' : ''}${error ?? message}`);
  };
  // Nobody reads any more, or there is no room for it: the work is worth more than what is said of it.
  process.stderr.on('error', () => {});
  // Unless warnings are switched off, Node listens.
  if (process.listenerCount('warning') > 0) {
    process.removeAllListeners('warning');
    process.on('warning', ({ name, message }) => say(WARN, message, { warning: name }));
  }
  process.on('uncaughtException', (error: unknown) => {
    say(FATAL, 'internal error', { error: stackOf(error) });
    process.exit(OWN_MISTAKE);
  });
  return {
    say,
    becomeLog() {
      if (process.stderr.isTTY) return;
      isJson = true;
      wrapPrinted(say);
    },
  };
}

/** Whoever prints to stderr and not to the log; text that is JSON already stays as it is. */
function wrapPrinted(say: Say): void {
  process.stderr.write = (printed: string | Uint8Array, ...rest: unknown[]) => {
    const text = String(typeof printed === 'string' ? printed : Buffer.from(printed)).trim();
    if (/^\{.*\}$/.test(text)) writeLine(text);
    else if (text !== '') say(WARN, text);
    const done = rest.at(-1);
    if (typeof done === 'function') process.nextTick(done as () => void);
    return true;
  };
}

function writeLine(line: string): void {
  try {
    writeSync(2, `${line}\n`);
  } catch {
    // As above.
  }
}

const OWN_MISTAKE = 3;
const stackOf = (error: unknown): string => (error as Error).stack ?? String(error);

/** Says why a verb ended before its end, and returns the exit code. */
export function lastWords(error: unknown, say: Say): number {
  if (error instanceof UsageError || error instanceof Unreachable) {
    say(ERROR, error.message, { exitCode: error.exitCode });
    return error.exitCode;
  }
  const { code = '', syscall, message } = error as NodeJS.ErrnoException;
  // The machine says no; where in our code it said so helps nobody.
  if (syscall !== undefined && OF_THE_MACHINE.includes(code)) {
    say(
      ERROR,
      `${message}. Check that it exists, that this user may read and write it, and that the disk is not full.`,
      {
        exitCode: OWN_MISTAKE,
      },
    );
    return OWN_MISTAKE;
  }
  if (code === INSUFFICIENT_PRIVILEGE) {
    say(ERROR, `${message}: the role in DATABASE_URL must own its database.`, { exitCode: 2 });
    return 2;
  }
  // Our own: all of it is needed to mend it.
  say(FATAL, 'internal error', { exitCode: OWN_MISTAKE, error: stackOf(error) });
  return OWN_MISTAKE;
}

const OF_THE_MACHINE = ['EACCES', 'EPERM', 'ENOENT', 'ENOTDIR', 'EISDIR', 'EROFS', 'ENOSPC', 'EDQUOT', 'EIO', 'EMFILE'];
const INSUFFICIENT_PRIVILEGE = '42501';
