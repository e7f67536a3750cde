/** The console in a real browser: a finance person's way through it, by mouse, by keyboard alone and without JavaScript, and as a machine checks it. */
import assert from 'node:assert/strict';
import { globSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import axe from 'axe-core';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { query, temporaryFolder, writeFiles } from './support/book.ts';
import { linkKey } from './support/console.ts';
import { debianProgram } from './support/debian.ts';
import { freshDatabase } from './support/postgres.ts';
import { settlestream, startSettlestream } from './support/settlestream.ts';

/** Where pictures of the pages are put, for people to look at. */
const PICTURES = process.env['SETTLESTREAM_TEST_PICTURES'];

const dayBefore = (days: number) => new Date(Date.now() - days * 86_400_000).toISOString().slice(0, 10);
const yesterday = dayBefore(1);
const directory = `reports/M1/${yesterday.replaceAll('-', '')}`;
const IDS = Array.from({ length: 100 }, (_, at) => `p-${String(at + 1).padStart(3, '0')}`);
const KEYS = ['k-1', 'k-2', 'k-3'];
const batch = (id: string, ids: readonly string[]) => ({
  [`${directory}/settlementItems_USD_${id}_000.csv`]: [
    'settlementBatchId,transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,feeAmountValue,feeCurrency,settlementAmountValue,settlementCurrency',
    ...ids.map((one) => `${id},PAYMENT,t-${one},${one},10.01,USD,-0.21,USD,9.80,USD`),
    '<END>',
  ],
  [`${directory}/settlementSummary_USD_${id}_000.csv`]: [
    'settlementBatchId,summaryType,count,settlementAmountValue,settlementCurrency',
    `${id},TOTAL,${ids.length},${(9.8 * ids.length).toFixed(2)},USD`,
    '<END>',
  ],
});
const amount = (value: string) => `<Amt Ccy="USD">${value}</Amt><CdtDbtInd>CRDT</CdtDbtInd>`;
const balance = (code: string, value: string) =>
  `<Bal><Tp><CdOrPrtry><Cd>${code}</Cd></CdOrPrtry></Tp>${amount(value)}<Dt><Dt>${yesterday}</Dt></Dt></Bal>`;
const folder = writeFiles(temporaryFolder(), {
  'records.csv': [
    'requestId,type,amount,currency,status,occurredAt,orderId',
    ...[...IDS, ...KEYS].map(
      (id) => `${id},PAYMENT,10.00,USD,SUCCESS,${dayBefore(2)}T09:00:00+08:00,${id.replace(/^p/, 'order')}`,
    ),
  ],
  'bank/yesterday.xml': [
    '<?xml version="1.0"?><Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.02"><BkToCstmrStmt>',
    `<GrpHdr><MsgId>1</MsgId><CreDtTm>${yesterday}T23:00:00</CreDtTm></GrpHdr><Stmt><Id>1</Id><ElctrncSeqNb>1</ElctrncSeqNb><CreDtTm>${yesterday}T23:00:00</CreDtTm>`,
    `<FrToDt><FrDtTm>${yesterday}T00:00:00</FrDtTm><ToDtTm>${yesterday}T23:59:59</ToDtTm></FrToDt><Acct><Id><IBAN>DE02120300000000202051</IBAN></Id><Ccy>USD</Ccy></Acct>`,
    `${balance('OPBD', '0.00')}${balance('CLBD', '979.00')}`,
    `<Ntry><NtryRef>7</NtryRef>${amount('979.00')}<Sts>BOOK</Sts><BookgDt><Dt>${yesterday}</Dt></BookgDt><ValDt><Dt>${yesterday}</Dt></ValDt><NtryDtls><TxDtls><RmtInf><Ustrd>less a charge</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>`,
    '</Stmt></BkToCstmrStmt></Document>',
  ],
  'settlestream.yaml': ['handling:', '  approval:', '    USD: 0.05'],
  ...batch('B1', IDS),
  ...batch('B2', KEYS),
});
const url = await freshDatabase();
const env = {
  DATABASE_URL: url,
  SETTLESTREAM_DATA_DIR: join(folder, 'data'),
  SETTLESTREAM_PROCESSES: '1',
};
const run = (...args: string[]) => settlestream(args, { cwd: folder, env });
const reconciled = await run('reconcile', 'reports', '--ledger', 'records.csv', '--bank', 'bank');
assert.equal(reconciled.code, 1, reconciled.stderr);
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

type Look = BrowserContextOptions & { readonly roles?: readonly string[] };

/**
 * Somebody at a browser of their own, signed in, until the work is done. What the policy of a page forbids, and a page that fails, is
 * a mistake, and fails the test.
 */
async function atBrowser(
  name: string,
  { roles, ...options }: Look,
  work: (page: Page, mistakes: string[]) => Promise<void>,
): Promise<void> {
  const context = await browser.newContext({ baseURL: base, ...options });
  context.setDefaultTimeout(10_000);
  const page = await context.newPage();
  const mistakes: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' && !/favicon/.test(message.location().url))
      mistakes.push(`${page.url()}: ${message.text()}`);
  });
  page.on('pageerror', (error) => mistakes.push(`${page.url()}: ${error}`));
  page.on('response', (response) => {
    if (response.status() >= 400 && !/favicon/.test(response.url()))
      mistakes.push(`${response.status()} ${response.url()}`);
  });
  await page.goto(`/login?key=${await linkKey(url, { name, ...(roles ? { roles } : {}) })}`);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('heading', { name: 'Today' }).waitFor();
  await work(page, mistakes);
  assert.deepEqual(mistakes, []);
  await context.close();
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
  const found = (await page.evaluate(`axe.run({ preload: false, resultTypes: ['violations'] })`)) as {
    readonly violations: readonly Violation[];
  };
  return found.violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes[0]!.html.slice(0, 200)}`);
}

const textOf = async (page: Page): Promise<string> => (await page.locator('main').textContent()) ?? '';
/** Does what leads to another page, and waits for it. */
async function leads(page: Page, act: () => Promise<void>): Promise<void> {
  await Promise.all([page.waitForEvent('load'), act()]);
}
const click = (page: Page, role: 'link' | 'button', name: string | RegExp) =>
  leads(page, () => page.getByRole(role, { name }).first().click());

const PAGES = [
  '/',
  '/batches',
  '/batches/1',
  '/discrepancies?batch=B2',
  '/discrepancies/1',
  '/payments?id=p-001',
  '/payments?id=order-001',
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
    test(`${look}: axe finds nothing serious, and nothing is wider than the page`, () =>
      atBrowser('ann', options, async (page) => {
        for (const path of PAGES) {
          await page.goto(path);
          // What is narrow has the colours and names of what is light.
          if (look !== 'narrow') assert.deepEqual(await barriers(page), [], path);
          const isWider = await page.evaluate(
            'document.documentElement.scrollWidth > document.documentElement.clientWidth',
          );
          assert.equal(isWider, false, path);
          await pictured(page, `${look}${path.replaceAll(/\W+/g, '-')}`);
        }
      }));

  test('a page that breaks the policy is noticed, and its code does not run', () =>
    atBrowser('ann', {}, async (page, mistakes) => {
      const code = `const made = document.createElement('script'); made.textContent = 'window.ran = true'; document.body.append(made);
        const image = new Image(); image.src = 'http://127.0.0.1:1/x.png'; document.body.append(image);
        document.body.insertAdjacentHTML('beforeend', '<p style="color: red">x</p><a onclick="window.ran = true" id="bad">x</a>');
        document.getElementById('bad').click(); window.ran ?? 'not run'`;
      assert.equal(await page.evaluate(code), 'not run');
      while (mistakes.length < 4) await page.waitForEvent('console');
      assert.ok(mistakes.splice(0).every((text) => /Content Security Policy/.test(text)));
    }));
});

test('a hundred are accepted at once, and approved by a second person: the batch is reconciled', async () => {
  await atBrowser('ann', { roles: ['analyst'] }, async (page) => {
    await page.goto('/discrepancies?batch=B1&kind=amount_mismatch');
    await click(page, 'link', 'Tick all 100 of this page');
    await page.locator('select[name=action]').selectOption('accept');
    await page.locator('select[name=reason]').selectOption('rounding');
    await page.locator('input[name=text]').fill('a cent each');
    await click(page, 'button', 'Do it');
    assert.match(await textOf(page), /Nothing is open that this filter names|accepted/);
    // A cent each is little; only who accepts more needs another person. So the next ones are worth more.
    await page.goto('/batches');
    await click(page, 'link', 'B1');
    assert.match(await textOf(page), /accepted: 100, 1\.00 USD/);
  });
  await query(url, `update discrepancy set stake_minor = 100 where request_id like 'k-%'`);
  await atBrowser('ann', { roles: ['analyst'] }, async (page) => {
    await page.goto('/discrepancies?batch=B2&kind=amount_mismatch&ticked=all');
    await page.locator('select[name=action]').selectOption('accept');
    await page.locator('select[name=reason]').selectOption('provider_claim');
    await page.locator('input[name=text]').fill('claim 4711');
    await click(page, 'button', 'Do it');
    assert.match(await textOf(page), /pendingApproval/);
    await pictured(page, 'pending');
  });
  await atBrowser('bob', { roles: ['approver'] }, async (page) => {
    await leads(page, () => page.locator('a[href*=pendingApproval]').click());
    assert.match(page.url(), /handling=pendingApproval/);
    await click(page, 'link', 'Tick all 3 of this page');
    await page.locator('select[name=action]').selectOption('approve');
    await click(page, 'button', 'Do it');
    assert.match(await textOf(page), /Nothing is open that this filter names/);
    await page.goto('/batches');
    await click(page, 'link', 'B2');
    assert.match(await textOf(page), /accepted: 3,/);
  });
});

test('a report is replayed after a dry run, and a bank entry is said to pay a batch', () =>
  atBrowser('eve', {}, async (page) => {
    await click(page, 'link', 'Reports');
    await click(page, 'link', /^1$/);
    await click(page, 'button', 'Show what that would change');
    assert.match(await textOf(page), /What would change[\s\S]*Nothing was changed yet/);
    await pictured(page, 'dry-run');
    await click(page, 'button', 'Replay');
    assert.match(await textOf(page), /What changed/);
    await click(page, 'link', 'Bank');
    assert.match(await textOf(page), /979\.00[\s\S]*unexplained/);
    await page.getByRole('radio').first().check();
    await page.locator('input[name=batch]').fill('B1');
    await click(page, 'button', 'Confirm');
    assert.match(await textOf(page), /B1 \(confirmed\)/);
    await click(page, 'link', 'Batches');
    await click(page, 'link', 'B1');
    assert.match(await textOf(page), /difference at the bank-1\.00\s+arrived at the bank979\.00/);
    await pictured(page, 'waterfall');
  }));

/** Presses Tab until what is wanted has the focus, as somebody does who has no mouse. */
async function tabTo(page: Page, wanted: string): Promise<void> {
  for (let presses = 0; presses < 400; presses++) {
    await page.keyboard.press('Tab');
    const focused = page.locator(':focus');
    if ((await focused.count()) === 0) continue;
    const seen = await focused.evaluate(
      (element) =>
        `${element.tagName.toLowerCase()} ${element.getAttribute('name') ?? ''} ${element.textContent?.trim() ?? ''}`,
    );
    if (seen.startsWith(wanted)) return;
  }
  assert.fail(`${wanted} cannot be reached by Tab on ${page.url()}`);
}

/** From the first page to something that is handled, and to what was done. */
async function handleByKeyboard(page: Page, said: string): Promise<void> {
  const enter = () => leads(page, () => page.keyboard.press('Enter'));
  await tabTo(page, 'a  Skip to the content');
  await page.keyboard.press('Enter');
  await tabTo(page, 'a  payout_');
  await enter();
  assert.match(page.url(), /discrepancies\?kind=payout_/);
  await tabTo(page, 'input no');
  await page.keyboard.press('Space');
  await tabTo(page, 'select action');
  await page.keyboard.type('comment');
  await tabTo(page, 'input text');
  await page.keyboard.type(said);
  await enter();
  await tabTo(page, 'a  Audit');
  await enter();
  assert.match(await textOf(page), /handle/);
  await tabTo(page, 'input id');
  await page.keyboard.type('order-042');
  await enter();
  await tabTo(page, 'a  p-042');
  await enter();
  assert.match(await textOf(page), /t-p-042[\s\S]*settlementItems_USD_B1_000\.csv|settlementItems_USD_B1_000\.csv/);
  await tabTo(page, 'button  Sign out');
  await enter();
  assert.match(await textOf(page), /You are signed out/);
}

for (const [how, options] of [
  ['by keyboard alone', {}],
  ['by keyboard alone, without JavaScript', { javaScriptEnabled: false }],
] as const)
  test(`from the first page to a discrepancy that is handled, ${how}`, async () => {
    await atBrowser('ann', options, (page) => handleByKeyboard(page, how));
    assert.equal((await query(url, `select from handling where said = '${how}'`)).length, 1);
  });
