import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { freshDatabase } from '../../support/postgres.ts';
import { SCHEMA_FILE, schemaOf } from '../../support/schema.ts';

test('the types of the tables are those of a migrated database', async () => {
  const made = await schemaOf(await freshDatabase());
  assert.equal(readFileSync(SCHEMA_FILE, 'utf8'), made, 'run: npm run schema');
});
