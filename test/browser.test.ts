/** The console in a real browser: a finance person's way through it, by mouse and by keyboard, without JavaScript, and as a machine checks it. */
import assert from 'node:assert/strict';
import { globSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import axe from 'axe-core';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { temporaryFolder, writeFiles } from './support/book.ts';
import { debianProgram } from './support/debian.ts';
import { freshDatabase } from './support/postgres.ts';
import { settlestream, startSettlestream } from './support/settlestream.ts';

/** Where pictures of the pages are put, for people to look at. */
const PICTURES = process.env['SETTLESTREAM_TEST_PICTURES'];

const yesterday = new Date(Date.now() - 86_400_000).toISOString().slice(0, 10);
const directory = `reports/M1/${yesterday.replaceAll('-', '')}`;
const IDS = Array.from({ length: 100 }, (_, at) => `p-${String(at + 1).padStart(3, '0')}`);
const folder = writeFiles(temporaryFolder(), {
  'records.csv': [
    'requestId,type,amount,currency,status,occurredAt',
    ...IDS.map((id) => `${id},PAYMENT,10.00,USD,SUCCESS,${yesterday}T09:00:00+08:00`),
  ],
  [`${directory}/settlementItems_USD_B1_000.csv`]: [
    'settlementBatchId,transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency',
    ...IDS.map((id) => `B1,PAYMENT,t-${id},${id},10.01,USD,10.01,USD`),
    '<END>',
  ],
  [`${directory}/settlementSummary_USD_B1_000.csv`]: [
    'settlementBatchId,summaryType,count,settlementAmountValue,settlementCurrency',
    'B1,TOTAL,100,1001.00,USD',
    '<END>',
  ],
});
const env = {
  DATABASE_URL: await freshDatabase(),
  SETTLESTREAM_DATA_DIR: join(folder, 'data'),
  SETTLESTREAM_PROCESSES: '1',
};
const run = (...args: string[]) => settlestream(args, { cwd: folder, env });
await run('reconcile', 'reports', '--ledger', 'records.csv');
const served = startSettlestream(['console', '--port', '0'], { cwd: folder, env });
after(() => served.kill('SIGKILL'));
const base = /http:\/\/127\.0\.0\.1:\d+/.exec(await served.says(/console at/))![0];

const { path, root, libraries } = debianProgram('chromium', 'usr/lib/chromium/chromium');
/** Unpacked, one of its libraries is looked for where only an installed one would be found. */
const pulse = globSync('usr/lib/*-linux-gnu/pulseaudio', { cwd: root }).map((folder) => join(root, folder));
const browser: Browser = await chromium.launch({
  executablePath: path,
  env: {
    ...(process.env as Record<string, string>),
    LD_LIBRARY_PATH: [libraries, ...(root === '' ? [] : pulse)].join(':'),
  },
  // Tests may run as root, where Chromium has no sandbox; it sees nothing but our own pages.
  args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'],
});
after(() => browser.close());

/** Somebody at a browser of their own, signed in. What the page's policy forbids, or a page that fails, fails the test. */
async function atBrowser(name: string, options: BrowserContextOptions = {}): Promise<Page> {
  const context = await browser.newContext({ baseURL: base, ...options });
  context.setDefaultTimeout(10_000);
  const page = await context.newPage();
  page.on('console', (message) => {
    if (message.type() === 'error' && !/favicon/.test(message.location().url))
      assert.fail(`${page.url()}: ${message.text()}`);
  });
  page.on('response', (response) =>
    assert.ok(response.status() < 400 || /favicon/.test(response.url()), `${response.status()} ${response.url()}`),
  );
  const { stdout } = await run('console', 'link', '--port', new URL(base).port, '--as', name);
  await page.goto(stdout.trim());
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('heading', { name: 'Today' }).waitFor();
  return page;
}

async function pictured(page: Page, name: string): Promise<void> {
  if (PICTURES === undefined) return;
  mkdirSync(PICTURES, { recursive: true });
  await page.screenshot({ path: join(PICTURES, `${name}.png`), fullPage: true });
}

type Violation = {
  readonly id: string;
  readonly impact: string | null;
  readonly nodes: readonly { readonly html: string }[];
};

/** What axe finds that keeps people out. */
async function barriers(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const found = (await page.evaluate('axe.run()')) as { readonly violations: readonly Violation[] };
  return found.violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes[0]!.html.slice(0, 200)}`);
}

const PAGES = [
  '/',
  '/batches',
  '/batches/1',
  '/discrepancies',
  '/discrepancies/1',
  '/payments?id=p-001',
  '/reports',
  '/reports/1',
  '/bank',
  '/audit',
  '/health',
];

suite('every page is for everybody', () => {
  for (const [look, options] of [
    ['light', { colorScheme: 'light' }],
    ['dark', { colorScheme: 'dark' }],
    ['narrow', { viewport: { width: 400, height: 800 } }],
  ] as const)
    test(`${look}: axe finds nothing serious, and nothing is wider than the page`, async () => {
      const page = await atBrowser('ann', options);
      for (const path of PAGES) {
        await page.goto(path);
        assert.deepEqual(await barriers(page), [], path);
        const isWider = await page.evaluate(
          'document.documentElement.scrollWidth > document.documentElement.clientWidth',
        );
        assert.equal(isWider, false, path);
        await pictured(page, `${look}${path.replaceAll(/\W+/g, '-')}`);
      }
      await page.context().close();
    });
});

test('from the first page to a batch that is handled, by keyboard alone and without JavaScript', async () => {
  const page = await atBrowser('ann', { javaScriptEnabled: false });
  const follow = async (name: string | RegExp) => {
    await page.getByRole('link', { name }).first().focus();
    await Promise.all([page.waitForEvent('load'), page.keyboard.press('Enter')]);
  };
  await follow('amount_mismatch');
  assert.match(page.url(), /discrepancies\?kind=amount_mismatch/);
  for (const box of await page.getByRole('checkbox').all()) {
    await box.focus();
    await page.keyboard.press('Space');
  }
  await page.locator('select[name=action]').selectOption('accept');
  await page.locator('select[name=reason]').selectOption('rounding');
  await page.locator('input[name=text]').focus();
  await page.keyboard.type('a cent each');
  await Promise.all([page.waitForEvent('load'), page.keyboard.press('Enter')]);
  assert.match((await page.locator('main').textContent()) ?? '', /Nothing is open/);
  await follow('Batches');
  await follow('B1');
  assert.match((await page.locator('main').textContent()) ?? '', /reconciled[\s\S]*accepted: 100, 1\.00 USD/);
  await follow('Audit');
  assert.match((await page.locator('main').textContent()) ?? '', /discrepancy \d+ \(amount_mismatch, B1\)/);
  await page.getByRole('search').getByRole('textbox').focus();
  await page.keyboard.type('t-p-042');
  await Promise.all([page.waitForEvent('load'), page.keyboard.press('Enter')]);
  assert.match((await page.locator('main').textContent()) ?? '', /p-042[\s\S]*settlementItems_USD_B1_000\.csv/);
  await page.context().close();
});
