import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { html } from 'hono/html';
import type { Database } from '../adapters/postgres/connection.ts';
import { streamHeld } from '../adapters/postgres/cursors.ts';
import { isDay } from '../domain/calendar/time.ts';
import { BATCH_STATES, KINDS } from '../domain/discrepancy.ts';
import { Unreachable, UsageError } from '../domain/errors.ts';
import { STATES } from '../domain/handling.ts';
import { HandlingRefused, handle } from '../operations/handle.ts';
import { type AuditView, auditEvents } from '../views/audit/audit.sql.ts';
import { AUDIT_COLUMNS } from '../views/audit/audit.ts';
import { type EntryView, entries } from '../views/bank/entries.sql.ts';
import { ENTRY_COLUMNS } from '../views/bank/entries.ts';
import { bytesOfOriginal, originalOf } from '../views/batches/archived-original.ts';
import { batchPortions } from '../views/batches/batch-page.ts';
import { isDiscrepancy } from '../views/batches/batches.sql.ts';
import { discrepancyPage } from '../views/batches/batches.ts';
import { REPORT_COLUMNS, reportPortions } from '../views/batches/report-list.ts';
import { answer } from '../views/gauges/gauges.sql.ts';
import { BATCH_COLUMNS, type Column, DATED_COLUMNS } from '../views/output/columns.ts';
import { csv } from '../views/output/output.ts';
import { begun, bytesOf } from '../views/output/streamed.ts';
import { workbook } from '../views/output/workbook.ts';
import { type Html, page } from './layout.ts';
import { addLogin, signedIn, signOut } from './login/login.ts';
import { auditPage } from './pages/audit.ts';
import { bankPage, mayMatch } from './pages/bank.ts';
import { batchDetails, batchesPage } from './pages/batches.ts';
import { discrepanciesPage, discrepancyDetail, type ListQuery, mayHandle } from './pages/discrepancies.ts';
import { healthPage } from './pages/health.ts';
import { paymentsPage } from './pages/payments.ts';
import { changesPage, mayRepair, reportDetail, reportNumbered, reportsPage } from './pages/reports.ts';
import { lookAtToday, type Today, todayPage } from './pages/today.ts';
import type { ConsoleParts, Ctx, Env } from './parts.ts';
import { type Remembered, remembered } from './remembered.ts';
import { isSameText, onlyFrom, sameOrigin, secureHeaders } from './security.ts';
import { STYLE } from './style.ts';

/** A form has a hundred rows and a comment; what is much longer only takes time to read. */
const MOST_BODY_BYTES = 1 << 17;
/** A statement took too long, or waited too long for somebody else. */
const TOO_LONG = ['57014', '55P03'];
const TAKES_LONG = html`<p>The database did not answer within 5 seconds. Narrow the filter: one merchant, or a few days.</p>`;

/** The console as an application: without a session only the login, the style sheet and the probes are there. */
export function consoleApp(parts: ConsoleParts): Hono<Env> {
  const app = new Hono<Env>();
  app.use(secureHeaders(parts.site));
  addProbes(app, parts);
  app.use(onlyFrom(parts.login));
  app.use(sameOrigin(parts.site));
  app.use(
    bodyLimit({ maxSize: MOST_BODY_BYTES, onError: (context) => context.text('This is too much at once.\n', 413) }),
  );
  app.onError((error, context) => {
    if (TOO_LONG.includes((error as { code?: string }).code ?? ''))
      return context.html(page('This takes too long', '', null, TAKES_LONG), 503);
    if (error instanceof Unreachable)
      return context.html(page('The database does not answer', '', null, html`<p>Try again in a moment.</p>`), 503);
    parts.log.error({ path: new URL(context.req.url).pathname, error: error.stack }, 'a page failed');
    return context.html(page('This page failed', '', null, html`<p>The log says why. Try again.</p>`), 500);
  });
  app.notFound((context) =>
    context.html(page('There is no such page', '', null, html`<p><a href="/">Back to the first page</a></p>`), 404),
  );
  app.get('/style.css', (context) => context.body(STYLE, 200, { 'Content-Type': 'text/css; charset=utf-8' }));
  addLogin(app, parts);
  app.use((context, next) => signedIn(context, parts, next));
  const today = remembered<Today>(parts.now);
  app.use(async (context, next) => {
    await next();
    if (context.req.method === 'POST') today.clear();
  });
  addPages(app, parts, today);
  addReports(app, parts);
  addBank(app, parts);
  addActions(app, parts);
  return app;
}

/** For whoever watches the process: by any name and from any address, for they say nothing of what is in it. */
function addProbes(app: Hono<Env>, { reading }: ConsoleParts): void {
  app.get('/healthz', (context) => context.text('ok\n'));
  app.get('/readyz', async (context) => {
    try {
      await answer(reading.db);
      return context.text('ready\n');
    } catch {
      return context.text('the database does not answer\n', 503);
    }
  });
}

const show = (
  context: Ctx,
  title: string,
  at: string,
  body: readonly Html[],
  status: 200 | 400 | 403 | 404 | 409 = 200,
) => context.html(page(title, at, context.get('signed'), body), status);

/** One field of a form, as a text. */
async function field(context: Ctx, name: string): Promise<string> {
  const value = (await context.req.parseBody())[name];
  return typeof value === 'string' ? value : '';
}

/** A part of the query; the database can hold no NUL. */
const asked = (context: Ctx, name: string): string | undefined =>
  context.req.query(name)?.replaceAll('\0', '\uFFFD').trim() || undefined;
const day = (context: Ctx, name: string): string | undefined => {
  const text = asked(context, name);
  return text !== undefined && isDay(text) ? text : undefined;
};
const oneOf = <T extends string>(known: readonly T[], text: string | undefined): T | undefined =>
  known.find((one) => one === text);

function addPages(app: Hono<Env>, { reading, health, now }: ConsoleParts, today: Remembered<Today>): void {
  app.get('/', async (context) => {
    const { merchants } = context.get('signed');
    const looked = await today.get(JSON.stringify(merchants), () => lookAtToday(reading.db, { merchants }));
    return show(context, 'Today', '/', todayPage(looked, now()));
  });
  app.get('/batches', async (context) => {
    const query = {
      merchant: asked(context, 'merchant'),
      from: day(context, 'from'),
      to: day(context, 'to'),
      state: oneOf(BATCH_STATES, asked(context, 'state')),
      after: shortNumber(asked(context, 'after')),
    };
    const format = exportOf(context);
    const signed = context.get('signed');
    if (format === null) return show(context, 'Batches', '/batches', await batchesPage(reading, query, signed));
    const { after: _, ...filter } = query;
    const batches = batchPortions(reading.db, { ...filter, merchants: signed.merchants });
    return exported(context, 'batches', format, BATCH_COLUMNS, batches);
  });
  app.get('/batches/:no{[1-9][0-9]{0,8}}', async (context) => {
    const found = await batchDetails(reading, Number(context.req.param('no')), context.get('signed'));
    return found === null ? missing(context, 'batch') : show(context, found.title, '/batches', found.body);
  });
  app.get('/discrepancies', async (context) => listDiscrepancies(context, reading));
  app.get('/discrepancies/:no{[1-9][0-9]{0,17}}', async (context) => {
    const no = BigInt(context.req.param('no'));
    const body = await discrepancyDetail(reading, no, context.get('signed'));
    return body === null ? missing(context, 'discrepancy') : show(context, `Discrepancy ${no}`, '/discrepancies', body);
  });
  app.get('/payments', async (context) =>
    show(
      context,
      'Payments',
      '/payments',
      await paymentsPage(
        reading,
        { id: asked(context, 'id'), merchant: asked(context, 'merchant') },
        context.get('signed'),
      ),
    ),
  );
  app.get('/audit', async (context) => {
    if (context.get('signed').merchants !== null) return missing(context, 'page');
    const after = asked(context, 'after');
    const filter = {
      from: day(context, 'from'),
      to: day(context, 'to'),
      who: asked(context, 'who'),
      what: asked(context, 'what'),
      after: numberOf(after),
    };
    const format = exportOf(context);
    if (format === null) return show(context, 'Audit', '/audit', await auditPage(reading.db, filter));
    const events = streamHeld<AuditView>(reading, auditEvents({ ...filter, after: undefined }));
    return exported(context, 'audit', format, AUDIT_COLUMNS, events);
  });
  app.get('/health', async (context) =>
    context.get('signed').merchants !== null
      ? missing(context, 'page')
      : show(context, 'Health', '/health', healthPage(await health())),
  );
}

const missing = (context: Ctx, what: string) =>
  show(context, `There is no such ${what}`, '', [html`<p>It has another number, or was never there.</p>`], 404);

const numberOf = (text: string | undefined): bigint | undefined =>
  text !== undefined && /^[1-9]\d{0,17}$/.test(text) ? BigInt(text) : undefined;

const MOST_NUMBER = 2_147_483_647n;

/** Of batches and reports, which are numbered in fewer digits. */
function shortNumber(text: string | undefined): number | undefined {
  const no = numberOf(text);
  return no === undefined || no > MOST_NUMBER ? undefined : Number(no);
}

const exportOf = (context: Ctx): 'csv' | 'xlsx' | null =>
  oneOf(['csv', 'xlsx'] as const, asked(context, 'format')) ?? null;

/** A table to download. Where reading fails the connection breaks off, so that nobody takes a part for the whole. */
async function exported<Row>(
  context: Ctx,
  name: string,
  format: 'csv' | 'xlsx',
  columns: readonly Column<Row>[],
  portions: AsyncGenerator<readonly Row[]>,
): Promise<Response> {
  const type =
    format === 'csv' ? 'text/csv; charset=utf-8' : 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet';
  const rows = await begun(portions);
  context.header('Content-Type', type);
  context.header('Content-Disposition', `attachment; filename="${name}.${format}"`);
  const { outgoing } = context.env;
  const pieces = format === 'csv' ? csv(columns, rows) : workbook(name, columns, rows);
  return context.body(ReadableStream.from(bytesOf(pieces, () => outgoing.destroy())) as ReadableStream);
}

async function listDiscrepancies(context: Ctx, reading: Database): Promise<Response> {
  const names = ['merchant', 'from', 'to', 'kind', 'batch', 'handling', 'assigned', 'after', 'ticked'] as const;
  const query: ListQuery = Object.fromEntries(
    names.flatMap((name) => (asked(context, name) ? [[name, asked(context, name)]] : [])),
  );
  const after = numberOf(query.after);
  const isKnown = after !== undefined && (await isDiscrepancy(reading.db, after));
  const filter = {
    merchant: query.merchant,
    merchants: context.get('signed').merchants,
    from: day(context, 'from'),
    to: day(context, 'to'),
    kind: oneOf(KINDS, query.kind),
    batch: query.batch,
    handling: oneOf(STATES, query.handling),
    assignedTo: query.assigned,
    after: isKnown ? after : undefined,
  };
  const format = exportOf(context);
  if (format === null)
    return show(
      context,
      'Discrepancies',
      '/discrepancies',
      await discrepanciesPage(reading, query, filter, context.get('signed')),
    );
  const portions = discrepancyPage(reading, { ...filter, after: undefined }).portions();
  return exported(context, 'discrepancies', format, DATED_COLUMNS, portions);
}

const REPORT = '/reports/:no{[1-9][0-9]{0,8}}';

function addReports(app: Hono<Env>, { reading }: ConsoleParts): void {
  app.get('/reports', async (context) => {
    const filter = {
      merchant: asked(context, 'merchant'),
      batch: asked(context, 'batch'),
      state: asked(context, 'state'),
      after: shortNumber(asked(context, 'after')),
    };
    const signed = context.get('signed');
    const format = exportOf(context);
    if (format === null) return show(context, 'Reports', '/reports', await reportsPage(reading, filter, signed));
    const { after: _, ...named } = filter;
    const reports = reportPortions(reading.db, { ...named, merchants: signed.merchants });
    return exported(context, 'reports', format, REPORT_COLUMNS, reports);
  });
  app.get(REPORT, async (context) => {
    const report = await reportOf(context, reading);
    if (report === null) return missing(context, 'report');
    const body = await reportDetail(reading, report, context.get('signed'));
    return show(context, `Report ${report.no}`, '/reports', body);
  });
  app.get(`${REPORT}/original`, async (context) => {
    const report = await reportOf(context, reading);
    const original = report === null ? null : await originalOf(reading.db, report.no);
    if (report === null || original === null || original.droppedAt !== null) return missing(context, 'original');
    const name = report.file.replace(/^.*[\\/]/, '').replaceAll(/[^\w.-]/g, '_');
    const pieces = await begun(bytesOfOriginal(original));
    context.header('Content-Type', 'application/octet-stream');
    context.header('Content-Disposition', `attachment; filename="${name}"`);
    const { outgoing } = context.env;
    return context.body(ReadableStream.from(bytesOf(pieces, () => outgoing.destroy())) as ReadableStream);
  });
}

const reportOf = (context: Ctx, reading: Database) =>
  reportNumbered(reading, Number(context.req.param('no')), context.get('signed'));

function addBank(app: Hono<Env>, { reading }: ConsoleParts): void {
  app.get('/bank', async (context) => {
    const [, fileNo, ordinal] = /^([1-9]\d{0,8})\.(\d{1,9})$/.exec(asked(context, 'after') ?? '') ?? [];
    const filter = {
      account: asked(context, 'account'),
      from: day(context, 'from'),
      to: day(context, 'to'),
      isOpen: asked(context, 'open') !== undefined,
      after: fileNo === undefined ? undefined : { fileNo: Number(fileNo), ordinal: Number(ordinal) },
    };
    const signed = context.get('signed');
    const format = exportOf(context);
    if (format === null) return show(context, 'Bank', '/bank', await bankPage(reading, filter, signed));
    const all = entries({ ...filter, after: undefined, merchants: signed.merchants });
    return exported(context, 'bank', format, ENTRY_COLUMNS, streamHeld<EntryView>(reading, all));
  });
}

function addActions(app: Hono<Env>, parts: ConsoleParts): void {
  app.use('*', async (context, next) => {
    if (context.req.method !== 'POST') return next();
    const isOurs = isSameText(await field(context, 'token'), context.get('signed').formToken);
    return isOurs
      ? next()
      : show(
          context,
          'This form is not from here',
          '',
          [html`<p>Go back, load the page again, and repeat it.</p>`],
          400,
        );
  });
  app.post('/logout', (context) => signOut(context, parts));
  app.post('/discrepancies/handle', async (context) => handleForm(context, parts));
  app.post(`${REPORT}/replay`, async (context) => repair(context, parts, 'replay'));
  app.post(`${REPORT}/withdraw`, async (context) => repair(context, parts, 'withdraw'));
  app.post('/bank/match', async (context) => matchForm(context, parts));
}

/** Without a confirmation a replay only says what it would change. */
async function repair(context: Ctx, { reading, work }: ConsoleParts, what: 'replay' | 'withdraw'): Promise<Response> {
  const signed = context.get('signed');
  const back = `/reports/${context.req.param('no')}`;
  if (!mayRepair(signed)) return nothingDone(context, 'You may not do this: it needs the role engineer.', back, 403);
  const report = await reportOf(context, reading);
  if (report === null) return missing(context, 'report');
  const { no: reportNo, file, merchantId: merchant } = report;
  const actor = { name: signed.name, via: 'console' };
  const isDry = what === 'replay' && (await field(context, 'confirmed')) !== 'yes';
  const reason = (await field(context, 'reason')).trim();
  if (what === 'withdraw' && reason === '') return nothingDone(context, 'Say why the report is withdrawn.', back, 400);
  try {
    const outcome =
      what === 'replay'
        ? await work.replay({ report: file, reportNo, merchant, isRefused: false }, { isDry, actor })
        : await work.withdraw({ report: file, reportNo, merchant, reason }, actor);
    const body = changesPage(reportNo, outcome, { isDry, formToken: signed.formToken });
    return show(context, `Report ${reportNo}${isDry ? ': dry run' : ''}`, '/reports', body);
  } catch (error) {
    if (error instanceof UsageError) return nothingDone(context, error.message, back, 400);
    throw error;
  }
}

async function matchForm(context: Ctx, { work }: ConsoleParts): Promise<Response> {
  const signed = context.get('signed');
  if (!mayMatch(signed))
    return nothingDone(context, 'You may not do this: it needs the role analyst, for all merchants.', '/bank', 403);
  const [entry, batch, merchant] = [
    (await field(context, 'entry')).trim(),
    (await field(context, 'batch')).trim().replaceAll('\0', '\uFFFD'),
    (await field(context, 'merchant')).trim().replaceAll('\0', '\uFFFD'),
  ];
  if (entry === '' || batch === '')
    return nothingDone(context, 'Choose an entry, and name the batch that it pays.', '/bank', 400);
  try {
    await work.confirm({ entry, batch, merchant: merchant || undefined }, { name: signed.name, via: 'console' });
    return context.redirect('/bank', 303);
  } catch (error) {
    if (error instanceof UsageError) return nothingDone(context, error.message, '/bank', 400);
    throw error;
  }
}

const nothingDone = (context: Ctx, message: string, back: string, status: 400 | 403 | 409) =>
  show(
    context,
    'Nothing was done',
    '',
    [html`<p class="wrong" role="alert">${message}</p><p><a href="${back}">Back</a></p>`],
    status,
  );

async function handleForm(context: Ctx, { writing, limits, now }: ConsoleParts): Promise<Response> {
  const form = await context.req.parseBody({ all: true });
  const text = (name: string): string | null =>
    typeof form[name] === 'string' && form[name].trim() !== '' ? form[name].trim() : null;
  const nos = [form['no'] ?? []].flat().flatMap((no) => (typeof no === 'string' ? (numberOf(no) ?? []) : []));
  // Only the rest of an address of our own: a list with its filter, or one discrepancy.
  const back = /^(\?[\w=&%.+-]*|\/\d{1,18})?$/.exec(text('back') ?? '')?.[0] ?? '';
  const act = {
    action: text('action') ?? '',
    reason: text('reason'),
    text: text('text'),
    to: text('to'),
    until: text('until'),
  };
  const refuse = (message: string, status: 400 | 403 | 409) =>
    nothingDone(context, message, `/discrepancies${back}`, status);
  const { name, roles, merchants } = context.get('signed');
  const isApproval = act.action === 'approve' || act.action === 'reject';
  if (!mayHandle(context.get('signed')) || (isApproval && !roles.includes('approver')))
    return refuse(`You may not do this: it needs the role ${isApproval ? 'approver' : 'analyst'}.`, 403);
  if (nos.length === 0) return refuse('No discrepancy is ticked: tick those that it is about.', 400);
  if (act.action === '') return refuse('No action is chosen.', 400);
  const requests = nos.map((no) => ({ no, act, line: null, seen: numberOf(text(`seen-${no}`) ?? undefined) ?? null }));
  const actor = { name, via: 'console' };
  try {
    await handle({ database: writing, actor, limits, merchants, now }, requests);
    return context.redirect(`/discrepancies${back}`, 303);
  } catch (error) {
    if (error instanceof HandlingRefused) return refuse(error.message, error.isConflict ? 409 : 400);
    throw error;
  }
}
