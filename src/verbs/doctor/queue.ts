import { withoutPassword } from '../../adapters/postgres/connection.ts';
import { redisFacts } from '../../adapters/queue/queue.ts';
import { reasonOf } from '../../adapters/timeout.ts';
import { away, type Checked, ok, problem, warning } from './check.ts';

const OLDEST = [6, 2] as const;

/** The queue may forget, for the book does not; but a Redis that throws parts of it away confuses those that work. */
export async function checkQueue(redisUrl: string | undefined, limitMs: number): Promise<readonly Checked[]> {
  if (redisUrl === undefined) return [ok('queue', 'in the same Postgres')];
  const where = withoutPassword(redisUrl);
  const facts = await redisFacts(redisUrl, limitMs).catch((error: unknown) => reasonOf(error));
  if (typeof facts === 'string')
    return [away('queue', `cannot reach Redis at ${where}: ${facts}`, 'Check REDIS_URL and that the server is up.')];
  const found: Checked[] = [ok('queue', `Redis ${facts.version} at ${where}`)];
  const [major = 0, minor = 0] = facts.version.split('.').map(Number);
  if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1]))
    found.push(warning('queue version', `Redis ${facts.version}`, `Use Redis ${OLDEST.join('.')} or newer.`));
  if (facts.evictionPolicy !== 'noeviction') {
    const message = `maxmemory-policy is ${facts.evictionPolicy}: when memory is short, Redis evicts jobs`;
    const mend = 'Set maxmemory-policy to noeviction.';
    // Without a limit nothing is thrown away yet.
    found.push(
      facts.maxMemoryBytes > 0 ? problem('queue memory', message, mend) : warning('queue memory', message, mend),
    );
  }
  if (facts.isPersistent === false)
    found.push(
      warning(
        'queue persistence',
        'Redis writes nothing to disk: after its restart every job must be enqueued again, which costs time',
        'Set appendonly to yes.',
      ),
    );
  return found;
}
