/** Runs once around `npm test`: all test files share one Postgres, each with databases of its own. */
import { SHARED_URL, startPostgres, type TestPostgres } from './postgres.ts';

let server: TestPostgres | undefined;

export async function globalSetup(): Promise<void> {
  server = await startPostgres();
  process.env[SHARED_URL] = server.url;
}

export async function globalTeardown(): Promise<void> {
  await server?.close();
}
