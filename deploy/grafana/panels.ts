/** How our panels look. A panel is a title, what good looks like in a sentence, and its questions to Prometheus or to the book. */
import { PanelBuilder as BarGauge } from '@grafana/grafana-foundation-sdk/bargauge';
import type * as cog from '@grafana/grafana-foundation-sdk/cog';
import * as common from '@grafana/grafana-foundation-sdk/common';
import * as dashboard from '@grafana/grafana-foundation-sdk/dashboard';
import * as prometheus from '@grafana/grafana-foundation-sdk/prometheus';
import { PanelBuilder as Stat } from '@grafana/grafana-foundation-sdk/stat';
import { PanelBuilder as Table } from '@grafana/grafana-foundation-sdk/table';
import { PanelBuilder as TimeSeries } from '@grafana/grafana-foundation-sdk/timeseries';
import { type GaugeName, METRICS } from '../../src/adapters/metrics/definitions.ts';

/** As provisioning/datasources names them. */
const PROMETHEUS: common.DataSourceRef = { type: 'prometheus', uid: 'settlestream-prometheus' };
const BOOK: common.DataSourceRef = { type: 'grafana-postgresql-datasource', uid: 'settlestream-book' };

/** Grafana's width is 24. */
export type Size = { readonly width: number; readonly height: number };
export type Panel = cog.Builder<dashboard.Panel>;

/** A line for each series, called by its labels: `{{source}}`. */
export type Question = { readonly ask: string; readonly called: string };

/**
 * What every process tells of the whole, once, added up by some of its labels. Processes differ in more labels than one expects
 * (instance, pod, service), so those that stay are named.
 */
export const whole = (gauge: GaugeName, by: string, labels = ''): string =>
  `sum by (${by}) (max by (${Object.keys(METRICS[gauge].labels).join(', ')}) (${gauge}{${labels}source=~"$source"}))`;

type Shown = {
  readonly title: string;
  /** What good looks like. */
  readonly good: string;
  readonly unit: string;
  /** From which value on it is yellow and red; without it nothing is judged. */
  readonly bad?: { readonly warning: number; readonly critical: number };
  /** Low values are bad. */
  readonly isUpGood?: boolean;
};

const query = ({ ask, called }: Question, index: number, isInstant: boolean) => {
  const made = new prometheus.DataqueryBuilder()
    .refId(String.fromCharCode(65 + index))
    .datasource(PROMETHEUS)
    .expr(ask)
    .legendFormat(called);
  return isInstant ? made.instant() : made.range();
};

/** The value now. */
export const stat = (shown: Shown, size: Size, ...questions: readonly Question[]): Panel =>
  new Stat()
    .title(shown.title)
    .description(shown.good)
    .datasource(PROMETHEUS)
    .span(size.width)
    .height(size.height)
    .unit(shown.unit)
    .noValue('none')
    .thresholds(thresholdsOf(shown))
    .colorMode(common.BigValueColorMode.Value)
    .graphMode(common.BigValueGraphMode.None)
    .textMode(common.BigValueTextMode.ValueAndName)
    .targets(questions.map((question, index) => query(question, index, true)));

/** A bar for each series now, in the order of the questions. */
export const bars = (shown: Shown, size: Size, ...questions: readonly Question[]): Panel =>
  new BarGauge()
    .title(shown.title)
    .description(shown.good)
    .datasource(PROMETHEUS)
    .span(size.width)
    .height(size.height)
    .unit(shown.unit)
    .min(0)
    .noValue('none')
    .thresholds(thresholdsOf(shown))
    .orientation(common.VizOrientation.Horizontal)
    .displayMode(common.BarGaugeDisplayMode.Basic)
    .targets(questions.map((question, index) => query(question, index, true)));

/** How it went. */
export const lines = (shown: Shown, size: Size, ...questions: readonly Question[]): Panel => {
  const panel = new TimeSeries()
    .title(shown.title)
    .description(shown.good)
    .datasource(PROMETHEUS)
    .span(size.width)
    .height(size.height)
    .unit(shown.unit)
    .noValue('none')
    .fillOpacity(10)
    .lineWidth(1)
    .showPoints(common.VisibilityMode.Never)
    .legend(
      new common.VizLegendOptionsBuilder()
        .displayMode(common.LegendDisplayMode.Table)
        .placement(common.LegendPlacement.Bottom)
        .showLegend(true)
        .calcs(['lastNotNull', 'max']),
    )
    .tooltip(new common.VizTooltipOptionsBuilder().mode(common.TooltipDisplayMode.Multi))
    .targets(questions.map((question, index) => query(question, index, false)));
  if (shown.bad)
    panel
      .thresholds(thresholdsOf(shown))
      .thresholdsStyle(new common.GraphThresholdsStyleConfigBuilder().mode(common.GraphThresholdsStyleMode.Dashed));
  // A share ends at 100 %; everything else begins at nothing.
  return shown.unit === 'percentunit' ? panel.max(1) : panel.min(0);
};

/** Rows of the book. */
export const table = (title: string, good: string, size: Size, rawSql: string): Panel =>
  new Table()
    .title(title)
    .description(good)
    .datasource(BOOK)
    .span(size.width)
    .height(size.height)
    .noValue('none')
    .filterable(true)
    .targets([{ build: () => bookQuery(rawSql) }]);

const bookQuery = (rawSql: string): cog.Dataquery => {
  const made = { refId: 'A', datasource: BOOK, editorMode: 'code', format: 'table', rawQuery: true, rawSql };
  return made as unknown as cog.Dataquery;
};

function thresholdsOf({ bad, isUpGood = false }: Shown): dashboard.ThresholdsConfigBuilder {
  const steps = isUpGood
    ? bad && [
        { value: null, color: 'red' },
        { value: bad.critical, color: 'orange' },
        { value: bad.warning, color: 'green' },
      ]
    : bad && [
        { value: null, color: 'green' },
        { value: bad.warning, color: 'orange' },
        { value: bad.critical, color: 'red' },
      ];
  return new dashboard.ThresholdsConfigBuilder()
    .mode(dashboard.ThresholdsMode.Absolute)
    .steps(steps ?? [{ value: null, color: 'text' }]);
}

export type Row = { readonly title: string; readonly panels: readonly Panel[] };

type Settings = {
  readonly uid: string;
  readonly title: string;
  readonly about: string;
  readonly from: string;
  readonly refresh: string;
};

/** A dashboard of rows, for one source or all. */
export function dashboardOf(settings: Settings, rows: readonly Row[]): dashboard.Dashboard {
  const made = new dashboard.DashboardBuilder(settings.title)
    .uid(settings.uid)
    .description(settings.about)
    .tags(['settlestream'])
    .timezone('browser')
    .time({ from: settings.from, to: 'now' })
    .refresh(settings.refresh)
    .tooltip(dashboard.DashboardCursorSync.Crosshair)
    .readonly()
    .link(
      new dashboard.DashboardLinkBuilder('settlestream')
        .type(dashboard.DashboardLinkType.Dashboards)
        .tags(['settlestream'])
        .keepTime(true)
        .includeVars(true),
    )
    .withVariable(
      new dashboard.QueryVariableBuilder('source')
        .label('Source')
        .datasource(PROMETHEUS)
        .query('label_values(recon_backlog_reports, source)')
        .refresh(dashboard.VariableRefresh.OnTimeRangeChanged)
        .sort(dashboard.VariableSort.AlphabeticalAsc)
        .multi(true)
        .includeAll(true)
        .allValue('.*')
        .current({ selected: true, text: ['All'], value: ['$__all'] }),
    );
  for (const { title, panels } of rows) {
    made.withRow(new dashboard.RowBuilder(title));
    for (const panel of panels) made.withPanel(panel);
  }
  const built = made.build();
  // Links to a panel hold its number.
  built.panels?.forEach((panel, index) => {
    panel.id = index + 1;
  });
  return built;
}
