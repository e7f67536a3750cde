import { type Logger, pino } from 'pino';
import { Repeats } from './repeats.ts';

export type { Logger };

/** From here on something is wrong, and may be so for each of a thousand reports; what is fatal is said once, at the end. */
const WARN = 40;
const FATAL = 60;

const all = new Set<Repeats>();
process.on('exit', () => {
  for (const repeats of all) repeats.flush();
});

/** Logs go to stderr: JSON for machines, a line for people at a terminal. What goes wrong again and again is told once a minute (`Repeats`). */
export function openLog(level = 'info', repeats = new Repeats()): Logger {
  all.add(repeats);
  const hooks: pino.LoggerOptions['hooks'] = {
    logMethod([fields, message], write, level) {
      const isNews = level < WARN || level >= FATAL || typeof fields !== 'object' || typeof message !== 'string';
      if (isNews) return write.call(this, fields, message);
      repeats.tell(fields as object as Record<string, unknown>, message, (...line) => write.apply(this, line));
    },
  };
  if (process.stderr.isTTY)
    return pino(
      { level, base: null, timestamp: false, hooks },
      { write: (line: string) => process.stderr.write(`${readable(line)}\n`) },
    );
  const destination = pino.destination({ dest: 2, sync: true });
  // Nobody reads any more, or the disk is full: the work is worth more than what is said of it.
  destination.on('error', () => {});
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime, hooks }, destination);
}

function readable(line: string): string {
  const { level, msg, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const word = Number(level) >= 50 ? 'error: ' : Number(level) >= 40 ? 'warning: ' : '';
  const rest = Object.entries(fields).map(
    ([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  return `${word}${msg}${rest.length > 0 ? `  (${rest.join(' ')})` : ''}`;
}
