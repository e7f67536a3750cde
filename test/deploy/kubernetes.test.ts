/** deploy/kubernetes: every manifest is what its API knows, to the field, and together they keep what docs/operating.md says. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { after, test } from 'node:test';
import * as keda from '@kubernetes-models/keda/keda.sh/v1alpha1';
import * as operator from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1';
import * as apps from 'kubernetes-models/apps/v1';
import * as batch from 'kubernetes-models/batch/v1';
import * as networking from 'kubernetes-models/networking.k8s.io/v1';
import * as policy from 'kubernetes-models/policy/v1';
import * as core from 'kubernetes-models/v1';
import { parse, parseAllDocuments } from 'yaml';
import { METRICS } from '../../src/adapters/metrics/definitions.ts';
import { readConfig } from '../../src/config/config.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const FOLDER = join(ROOT, 'deploy/kubernetes');

/** What knows a kind, and the name of its module. */
const MODULES = {
  'kubernetes-models/v1': core,
  'kubernetes-models/batch/v1': batch,
  'kubernetes-models/apps/v1': apps,
  'kubernetes-models/policy/v1': policy,
  'kubernetes-models/networking.k8s.io/v1': networking,
  '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1': operator,
  '@kubernetes-models/keda/keda.sh/v1alpha1': keda,
};

// biome-ignore lint/suspicious/noExplicitAny: tests look into manifests by name, and a wrong name fails them.
type Manifest = any;

const files = globSync('*.yaml', { cwd: FOLDER }).filter((name) => name !== 'kustomization.yaml');
const manifests: Manifest[] = files.flatMap((name) =>
  parseAllDocuments(readFileSync(join(FOLDER, name), 'utf8'), { merge: true }).map((document) => {
    assert.deepEqual(document.errors, [], name);
    return document.toJS();
  }),
);
const named = (kind: string, name: string): Manifest =>
  manifests.find((manifest) => manifest.kind === kind && manifest.metadata.name === name);
const pods = manifests.filter(({ kind }) => kind === 'Deployment' || kind === 'Job');

/** The module and the model of a manifest. */
function modelOf({ apiVersion, kind }: Manifest): { module: string; Model: Manifest } {
  for (const [module, models] of Object.entries(MODULES)) {
    const Model = (models as Manifest)[kind];
    if (Model?.apiVersion === apiVersion) return { module, Model };
  }
  throw new Error(`no model is known for ${kind} of ${apiVersion}`);
}

test('every manifest is valid for the model of its kind', () => {
  for (const manifest of manifests) new (modelOf(manifest).Model)(manifest).validate();
});

test('no manifest has a field that its kind does not know: a misspelt one would be ignored', () => {
  mkdirSync(join(ROOT, '.cache'), { recursive: true });
  const folder = mkdtempSync(join(ROOT, '.cache/manifests-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const imports = new Set(
    manifests.map(
      (manifest) => `import type { I${manifest.kind} } from '${modelOf(manifest).module}/${manifest.kind}';`,
    ),
  );
  const lines = [
    ...imports,
    ...manifests.map((manifest, at) => `export const m${at}: I${manifest.kind} = ${JSON.stringify(manifest)};`),
    '// @ts-expect-error: such a field is noticed',
    `export const wrong: IService = { apiVersion: 'v1', kind: 'Service', spec: { ports: [{ port: 1, prot: 'TCP' }] } };`,
  ];
  const file = join(folder, 'manifests.ts');
  writeFileSync(file, lines.join('\n'));
  const options = ['--ignoreConfig', '--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext', '--types', ''];
  const run = spawnSync('tsc', [...options, file], { encoding: 'utf8' });
  assert.equal(run.status, 0, `${run.error ?? ''}${run.stdout}`);
});

test('all of them are applied, with one image', () => {
  const { resources, images } = parse(readFileSync(join(FOLDER, 'kustomization.yaml'), 'utf8'));
  assert.deepEqual([...resources].sort(), files.map((name) => basename(name)).sort());
  for (const { spec } of pods)
    for (const { image } of spec.template.spec.containers) assert.equal(image, images[0].name);
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  assert.equal(images[0].newTag, version);
});

test('pods run as nobody in particular, write nowhere but to their volumes, and hold no secret in their manifest', () => {
  for (const { spec } of pods) {
    const pod = spec.template.spec;
    const { runAsNonRoot, runAsUser, seccompProfile } = pod.securityContext;
    assert.deepEqual([runAsNonRoot, runAsUser, seccompProfile], [true, 1000, { type: 'RuntimeDefault' }]);
    assert.deepEqual([pod.automountServiceAccountToken, pod.enableServiceLinks], [false, false]);
    for (const container of pod.containers) {
      assert.deepEqual(container.securityContext, {
        readOnlyRootFilesystem: true,
        allowPrivilegeEscalation: false,
        capabilities: { drop: ['ALL'] },
      });
      for (const { name, value, valueFrom } of container.env) {
        const isSecret = /PASSWORD|SECRET|_URL$/.test(name);
        assert.equal(isSecret ? valueFrom.secretKeyRef.name : typeof value, isSecret ? 'settlestream' : 'string', name);
      }
      assert.ok(container.resources.requests.memory && container.resources.limits.memory);
    }
  }
});

test('what it reads as its settings is right, and every pod may take longer to end than it drains', () => {
  const file = join(mkdtempSync(join(ROOT, '.cache/settings-')), 'settlestream.yaml');
  after(() => rmSync(resolve(file, '..'), { recursive: true, force: true }));
  writeFileSync(file, named('ConfigMap', 'settlestream').data['settlestream.yaml']);
  const { drainSeconds, http, console, sources } = readConfig({ config: file }, {});
  assert.deepEqual(http, { host: '0.0.0.0', port: 9464 });
  for (const { kind, spec } of pods) {
    if (kind === 'Job') continue;
    const pod = spec.template.spec;
    assert.ok(pod.terminationGracePeriodSeconds >= drainSeconds + 10);
    const [{ name, env, livenessProbe, readinessProbe, startupProbe, ports }] = pod.containers;
    const port = name === 'console' ? 'console' : 'metrics';
    assert.ok(env.some(({ name }: Manifest) => name === sources[0]!.sftp!.passwordEnv));
    const pages = [livenessProbe, readinessProbe, startupProbe].map(({ httpGet }) => [httpGet.path, httpGet.port]);
    assert.deepEqual(pages, [
      ['/healthz', port],
      ['/readyz', port],
      ['/healthz', port],
    ]);
    assert.deepEqual(ports, [{ name: port, containerPort: name === 'console' ? console.port : http.port }]);
  }
  const { env } = named('Deployment', 'settlestream-console').spec.template.spec.containers[0];
  assert.ok(env.some(({ name }: Manifest) => name === console.login!.oidc!.clientSecretEnv));
  const [rule] = named('Ingress', 'settlestream-console').spec.rules;
  assert.deepEqual([`https://${rule.host}`, console.host], [console.origin, '0.0.0.0']);
});

test('what selects pods finds them', () => {
  const labels = (name: string) => named('Deployment', name).spec.template.metadata.labels;
  const fits = (selector: Record<string, string>, of: Record<string, string>) =>
    Object.entries(selector).every(([key, value]) => of[key] === value);
  for (const name of ['settlestream-producer', 'settlestream-worker', 'settlestream-console']) {
    assert.ok(fits(named('Deployment', name).spec.selector.matchLabels, labels(name)));
    assert.ok(fits(named('Service', 'settlestream').spec.selector, labels(name)));
    assert.ok(fits(named('NetworkPolicy', 'settlestream').spec.podSelector.matchLabels, labels(name)));
  }
  const toConsole = named('Service', 'settlestream-console').spec;
  const isConsole = (name: string) => fits(toConsole.selector, labels(name));
  assert.deepEqual(['settlestream-console', 'settlestream-producer', 'settlestream-worker'].map(isConsole), [
    true,
    false,
    false,
  ]);
  const [{ backend }] = named('Ingress', 'settlestream-console').spec.rules[0].http.paths;
  assert.deepEqual(backend.service, { name: 'settlestream-console', port: { name: toConsole.ports[0].name } });
  const budget = named('PodDisruptionBudget', 'settlestream-worker').spec.selector.matchLabels;
  assert.ok(fits(budget, labels('settlestream-worker')) && !fits(budget, labels('settlestream-producer')));
  const { spec } = named('ServiceMonitor', 'settlestream');
  const service = named('Service', 'settlestream');
  assert.ok(fits(spec.selector.matchLabels, service.metadata.labels));
  assert.deepEqual(
    [spec.endpoints[0].port, spec.jobLabel in service.metadata.labels],
    [service.spec.ports[0].name, true],
  );
});

test('workers are scaled by jobs that wait or run, never to none, and slowly down', () => {
  const { spec } = named('ScaledObject', 'settlestream-worker');
  assert.ok(named('Deployment', spec.scaleTargetRef.name));
  assert.ok(!('replicas' in named('Deployment', spec.scaleTargetRef.name).spec), 'two would decide');
  const [{ metadata }] = spec.triggers;
  const metric = /recon_\w+/.exec(metadata.query)![0];
  assert.deepEqual((METRICS as Manifest)[metric].labels.state.slice(0, 2), ['waiting', 'active']);
  assert.match(metadata.query, /max by .*waiting\|active/);
  assert.equal(metadata.ignoreNullValues, 'false');
  assert.ok(spec.minReplicaCount >= 1);
  assert.ok(spec.advanced.horizontalPodAutoscalerConfig.behavior.scaleDown.stabilizationWindowSeconds >= 300);
});

test('rules of Prometheus are taken by its operator as docs/operating.md says', () => {
  const page = readFileSync(join(ROOT, 'docs/operating.md'), 'utf8');
  const loop = /^for rules in .*?^done$/ms.exec(page)![0];
  const made = spawnSync('sh', ['-c', loop.replaceAll('kubectl apply -f -', 'cat; echo ---')], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  const rules: Manifest[] = parseAllDocuments(made.stdout)
    .map((document) => document.toJS())
    .filter((rule) => rule !== null);
  assert.deepEqual(
    rules.map(({ metadata }) => metadata.name),
    ['settlestream-recording', 'settlestream-alerts'],
  );
  for (const rule of rules) {
    assert.ok(rule.spec.groups.length > 0);
    new (modelOf(rule).Model)(rule).validate();
  }
});
