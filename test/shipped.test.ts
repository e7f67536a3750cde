/** Alerts, dashboards and runbook as they lie there. test/monitoring.test.ts asks them of a program that runs. */
import assert from 'node:assert/strict';
import { globSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { DASHBOARDS_DIR, dashboards } from '../deploy/grafana/make.ts';
import { METRICS } from '../src/adapters/metrics/definitions.ts';
import { openMetrics } from '../src/adapters/metrics/registry.ts';
import { promtool } from './support/prometheus.ts';
import { alerts, metricsIn, panels, records } from './support/shipped.ts';

const DEPLOY = resolve(import.meta.dirname, '../deploy');
const read = (path: string) => readFileSync(join(DEPLOY, path), 'utf8');

const expressions = [
  ...panels.flatMap(({ title, asks }) => asks.map(({ expression }) => ({ of: title, expression }))),
  ...alerts.map(({ name, expression }) => ({ of: name, expression })),
  ...records.map(({ name, expression }) => ({ of: name, expression })),
].flatMap(({ of, expression }) => (expression === null ? [] : [{ of, expression }]));

/** A histogram is several series. */
const seriesOf = (name: string): string[] =>
  METRICS[name as keyof typeof METRICS].type === 'histogram'
    ? ['bucket', 'sum', 'count'].map((of) => `${name}_${of}`)
    : [name];

test('the dashboards are what npm run dashboards makes of their sources', () => {
  assert.deepEqual(readdirSync(DASHBOARDS_DIR).sort(), Object.keys(dashboards).sort());
  for (const [name, text] of Object.entries(dashboards))
    assert.ok(readFileSync(join(DASHBOARDS_DIR, name), 'utf8') === text, `${name} is old: npm run dashboards`);
});

test('each panel says what good looks like, and asks a data source that is provisioned', () => {
  const provisioned = parse(read('grafana/provisioning/datasources/settlestream.yaml')).datasources;
  const known = new Set(provisioned.map(({ uid }: { uid: string }) => uid));
  for (const { title, description, asks } of panels) {
    assert.match(description ?? '', /^[A-Z].{4,}\.$/, title);
    assert.ok(asks.length > 0, title);
    for (const { uid, expression, sql } of asks)
      assert.ok(known.has(uid) && (expression === null) !== (sql === null), title);
  }
  const titles = panels.map(({ dashboard, title }) => `${dashboard}: ${title}`);
  assert.equal(new Set(titles).size, titles.length);
});

test('no dashboard and no rule names a metric that nobody tells', async () => {
  const ofNode = [...(await openMetrics({ source: [], job: [] }).text()).matchAll(/^# TYPE (\w+) /gm)].map(
    ([, name]) => name!,
  );
  const told = new Set([
    ...Object.keys(METRICS).flatMap(seriesOf),
    ...ofNode,
    ...records.map(({ name }) => name),
    'up',
  ]);
  const unknown = expressions.flatMap(({ of, expression }) =>
    [...metricsIn(expression)].filter((name) => !told.has(name)).map((name) => `${of}: ${name}`),
  );
  assert.deepEqual(unknown, []);
});

test('no metric is told, and none recorded, that no dashboard and no alert shows', () => {
  const named = new Set(expressions.flatMap(({ expression }) => [...metricsIn(expression)]));
  const unused = Object.keys(METRICS).filter((name) => !seriesOf(name).some((series) => named.has(series)));
  assert.deepEqual(unused, []);
  assert.deepEqual(
    records.map(({ name }) => name).filter((name) => !named.has(name)),
    [],
  );
});

test('Prometheus takes the config and the rules', () => {
  for (const args of [
    ['check', 'config', join(DEPLOY, 'prometheus/prometheus.yml')],
    [
      'check',
      'rules',
      '--lint=all',
      '--lint-fatal',
      join(DEPLOY, 'prometheus/recording.yml'),
      join(DEPLOY, 'prometheus/alerts.yml'),
    ],
  ]) {
    const { isOk, said } = promtool(args);
    assert.ok(isOk, said);
  }
});

test('each alert fires when it should, and not before', () => {
  const { isOk, said } = promtool(['test', 'rules', join(DEPLOY, 'prometheus/alerts.test.yml')]);
  assert.ok(isOk, said);
  const cases: { alertname: string; exp_alerts: object[] }[] = parse(read('prometheus/alerts.test.yml')).tests.flatMap(
    ({ alert_rule_test = [] }: { alert_rule_test?: object[] }) => alert_rule_test,
  );
  const named = (isFiring: boolean) =>
    new Set(cases.filter(({ exp_alerts }) => exp_alerts.length > 0 === isFiring).map(({ alertname }) => alertname));
  const names = alerts.map(({ name }) => name);
  assert.deepEqual([...named(true)].sort(), [...names].sort());
  assert.deepEqual([...named(false)].sort(), [...names].sort());
});

test('each alert says how bad it is and whose, and leads to its place in the runbook', () => {
  const headings = [...read('runbook.md').matchAll(/^## (\w+)$/gm)].map(([, name]) => name);
  assert.deepEqual([...headings].sort(), alerts.map(({ name }) => name).sort());
  for (const { name, labels, annotations } of alerts) {
    assert.match(labels['severity']!, /^(critical|warning)$/, name);
    assert.match(labels['team']!, /^(sre|finance)$/, name);
    assert.match(annotations['summary']!, /^.{30,}\.$/, name);
    assert.equal(annotations['runbook_url'], `deploy/runbook.md#${name.toLowerCase()}`);
  }
});

test('the runbook answers four questions for each alert, with commands that there are', () => {
  const text = read('runbook.md');
  for (const section of text.split(/^## /m).slice(1)) {
    const answers = [...section.matchAll(/^\*\*(\w+)(?:\.| when)\*\*/gm)].map(([, word]) => word);
    assert.deepEqual(answers, ['Means', 'Look', 'Do', 'Resolved'], section.split('\n')[0]);
  }
  const cli = globSync('src/cli/*.ts', { cwd: resolve(DEPLOY, '..') })
    .map((file) => readFileSync(resolve(DEPLOY, '..', file), 'utf8'))
    .join('\n');
  // Behind -n it is the namespace.
  const commands = [...text.matchAll(/`[^`\n]*(?<!-n )settlestream ([a-z]+)([^`\n]*)`/g)];
  assert.ok(commands.length > 20);
  for (const [command, verb, rest = ''] of commands) {
    assert.match(cli, new RegExp(`['"]${verb}['"]`), command);
    for (const [option] of rest.matchAll(/--[a-z-]+/g)) assert.ok(cli.includes(option), `${command}: ${option}`);
  }
  for (const [, anchor] of text.matchAll(/\]\(#(\w+)\)/g))
    assert.ok(
      alerts.some(({ name }) => name.toLowerCase() === anchor),
      anchor,
    );
  for (const [, path] of text.matchAll(/\]\(([a-z][\w/.]+)\)/g)) read(path!);
});
