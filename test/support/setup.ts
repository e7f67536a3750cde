/**
 * Runs once around `npm test`: all test files share one Postgres, each with databases of its own, and run the same program. What is
 * compiled of the tests and of what they import is kept.
 */
import { resolve } from 'node:path';
import { SHARED_URL, startPostgres, type TestPostgres } from './postgres.ts';
import { program } from './program.ts';

let server: TestPostgres | undefined;

export async function globalSetup(): Promise<void> {
  process.env['NODE_COMPILE_CACHE'] ??= resolve(import.meta.dirname, '../../.cache/compiled');
  await program();
  server = await startPostgres();
  process.env[SHARED_URL] = server.url;
}

export async function globalTeardown(): Promise<void> {
  await server?.close();
}
