/** `npm run dashboards`: writes the dashboards that Grafana is provisioned with. A test holds that they are up to date. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from './pipeline.ts';
import { reconciliation } from './reconciliation.ts';

export const DASHBOARDS_DIR = join(import.meta.dirname, 'dashboards');

/** File names and what stands in them. */
export const dashboards: Readonly<Record<string, string>> = {
  'pipeline.json': `${JSON.stringify(pipeline, null, 2)}\n`,
  'reconciliation.json': `${JSON.stringify(reconciliation, null, 2)}\n`,
};

if (import.meta.main) {
  mkdirSync(DASHBOARDS_DIR, { recursive: true });
  for (const [name, text] of Object.entries(dashboards)) writeFileSync(join(DASHBOARDS_DIR, name), text);
}
