import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Redis } from 'ioredis';
import { startRedis } from './redis.ts';

test('a Redis of our own answers, forgets nothing by itself, and is gone when it is stopped', async () => {
  const redis = await startRedis();
  const client = new Redis(redis.url, { retryStrategy: () => null });
  client.on('error', () => {});
  assert.equal(await client.ping(), 'PONG');
  assert.deepEqual(await client.config('GET', 'maxmemory-policy'), ['maxmemory-policy', 'noeviction']);
  const closed = new Promise((resolve) => client.once('close', resolve));
  await redis.stop();
  await closed;
  assert.throws(() => process.kill(redis.pid, 0), { code: 'ESRCH' });
});

test('two of them do not know each other', async () => {
  const [one, other] = await Promise.all([startRedis(), startRedis()]);
  assert.notEqual(one.url, other.url);
  await Promise.all([one.stop(), other.stop()]);
});
