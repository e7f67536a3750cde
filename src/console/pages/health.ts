import { html } from 'hono/html';
import { badge, dataTable, type Html } from '../layout.ts';

/** What the doctor says of one thing. */
export type HealthCheck = {
  readonly name: string;
  readonly state: string;
  readonly message: string;
  readonly mend: string | null;
};

/** Where nothing was checked, nothing is known to be well. */
function saidOf(checks: readonly HealthCheck[]): string {
  if (checks.length === 0) return 'Nothing was checked.';
  return checks.every(({ state }) => state === 'ok') ? 'All is well.' : 'Something is to be fixed.';
}

export const healthPage = (checks: readonly HealthCheck[]): readonly Html[] => [
  html`<p>${saidOf(checks)}</p>`,
  dataTable(
    'Checks',
    ['what', 'state', 'found', 'what to do'],
    checks.map(({ name, state, message, mend }) => [name, badge(state), message, mend]),
    'Nothing was checked.',
  ),
];
