/** What is shipped to watch the program with: rules, alerts and dashboards, as those who load them read them. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parser } from '@prometheus-io/lezer-promql';
import { parse } from 'yaml';

const DEPLOY = resolve(import.meta.dirname, '../../deploy');

export type Alert = {
  readonly name: string;
  readonly expression: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
};

type Rule = {
  alert?: string;
  record?: string;
  expr: string;
  labels?: Alert['labels'];
  annotations?: Alert['annotations'];
};

const rulesIn = (file: string): Rule[] =>
  parse(readFileSync(join(DEPLOY, 'prometheus', file), 'utf8')).groups.flatMap(({ rules }: { rules: Rule[] }) => rules);

export const alerts: readonly Alert[] = rulesIn('alerts.yml').map(({ alert, expr, labels = {}, annotations = {} }) => ({
  name: alert!,
  expression: expr,
  labels,
  annotations,
}));

/** Several may be recorded under one name, for different labels. */
export const records: readonly { readonly name: string; readonly expression: string }[] = rulesIn('recording.yml').map(
  ({ record, expr }) => ({ name: record!, expression: expr }),
);

export type ShownPanel = {
  readonly dashboard: string;
  readonly title: string;
  readonly description: string;
  /** Of the data sources that it asks. */
  readonly asks: readonly { readonly uid: string; readonly expression: string | null; readonly sql: string | null }[];
};

type Target = { datasource: { uid: string }; expr?: string; rawSql?: string };

/** All panels of the dashboards as they lie there for Grafana. Rows are headings, no panels. */
export const panels: readonly ShownPanel[] = readdirSync(join(DEPLOY, 'grafana/dashboards')).flatMap((file) => {
  const dashboard = JSON.parse(readFileSync(join(DEPLOY, 'grafana/dashboards', file), 'utf8'));
  return dashboard.panels
    .filter(({ type }: { type: string }) => type !== 'row')
    .map(({ title, description, targets }: { title: string; description: string; targets: Target[] }) => ({
      dashboard: dashboard.title,
      title,
      description,
      asks: targets.map(({ datasource: { uid }, expr, rawSql }) => ({
        uid,
        expression: expr ? asked(expr) : null,
        sql: rawSql ? askedSql(rawSql) : null,
      })),
    }));
});

/** What Grafana makes of a question to Prometheus when all sources are shown. */
function asked(expression: string): string {
  return withoutVariables(expression.replaceAll('$__rate_interval', '1m').replaceAll('$source', '.*'));
}

/** What Grafana makes of a question to the book when all sources are shown, over many years. */
function askedSql(sql: string): string {
  return withoutVariables(
    sql
      // biome-ignore lint/suspicious/noTemplateCurlyInString: it is Grafana's.
      .replaceAll('${source:regex}', '.*')
      .replaceAll('$__timeFrom()', "'2000-01-01T00:00:00Z'")
      .replaceAll('$__timeTo()', "'2100-01-01T00:00:00Z'"),
  );
}

function withoutVariables(text: string): string {
  const left = /\$\w+|\$\{/.exec(text);
  if (left) throw new Error(`nobody says what ${left[0]} is in: ${text}`);
  return text;
}

/** The names of the metrics that an expression asks for. Throws where it is no PromQL. */
export function metricsIn(expression: string): Set<string> {
  const names = new Set<string>();
  parser.parse(expression).iterate({
    enter(node) {
      if (node.type.isError) throw new Error(`no PromQL at ${node.from}: ${expression}`);
      if (node.name === 'Identifier' && node.node.parent?.name === 'VectorSelector')
        names.add(expression.slice(node.from, node.to));
    },
  });
  return names;
}
