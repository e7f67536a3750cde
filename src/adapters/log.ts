import { type Logger, pino } from 'pino';

/** Logs go to stderr: JSON for machines, a line for people at a terminal. */
export function openLog(level = 'info'): Logger {
  if (!process.stderr.isTTY)
    return pino(
      { level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
      pino.destination({ dest: 2, sync: true }),
    );
  return pino(
    { level, base: null, timestamp: false },
    { write: (line: string) => process.stderr.write(`${readable(line)}\n`) },
  );
}

function readable(line: string): string {
  const { level, msg, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const word = Number(level) >= 50 ? 'error: ' : Number(level) >= 40 ? 'warning: ' : '';
  const rest = Object.entries(fields).map(
    ([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  return `${word}${msg}${rest.length > 0 ? `  (${rest.join(' ')})` : ''}`;
}
