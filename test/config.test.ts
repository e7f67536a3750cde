import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, suite, test } from 'node:test';
import { type Config, type Options, readConfig, type SftpConfig, secretsOf } from '../src/config/config.ts';
import { settingsShape } from '../src/config/shape.ts';
import { UsageError } from '../src/domain/errors.ts';
import { formatNamed } from '../src/domain/formats/all.ts';
import type { Format } from '../src/domain/formats/format.ts';
import { readReportName } from '../src/domain/report/report-name.ts';
import { rulesOf } from '../src/producers/discovery/find-reports.ts';
import { sourcesOf } from '../src/verbs/session/sources.ts';
import { keysOf } from './support/keys.ts';
import { settlestream } from './support/settlestream.ts';

const EXAMPLE = resolve(import.meta.dirname, '../settlestream.example.yaml');
const folder = mkdtempSync(join(tmpdir(), 'settlestream-config-'));
after(() => rmSync(folder, { recursive: true, force: true }));

type Places = { readonly env?: Record<string, string>; readonly options?: Options };

/** The settings that follow from the text of a file, an environment and a command line. */
function configOf(text: string | Uint8Array, { env = {}, options = {} }: Places = {}): Config {
  const file = join(folder, 's.yaml');
  writeFileSync(file, text);
  return readConfig(options, env, file);
}

/** The lines that tell what is wrong. */
function mistakesIn(text: string | Uint8Array, places: Places = {}): string[] {
  return usageError(() => configOf(text, places)).split('\n');
}

function usageError(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof UsageError, String((error as Error).stack));
    return error.message.replaceAll(`${folder}/`, '');
  }
  assert.fail('no mistake was found');
}

const source = (...lines: string[]) => ['sources:', '  - name: a', '    merchantId: M', ...lines].join('\n');
const server = (...lines: string[]) =>
  source('    sftp:', '      host: h', '      username: u', '      passwordEnv: PW', ...lines);
const portal = (...lines: string[]) => source('    folder: f', ...lines);

suite('where settings come from', () => {
  test('the command line wins over the environment, this over the file, and this over what holds in any case', () => {
    const text = 'merchant: file\nformat: apo\ntolerance: 1\nprocesses: 3\nhttp:\n  host: 0.0.0.0\n  port: 1000\n';
    const env = { SETTLESTREAM_MERCHANT: 'env', SETTLESTREAM_TOLERANCE: '5', SETTLESTREAM_HTTP_PORT: '2000' };
    const config = configOf(text, { env, options: { merchant: 'option', processes: undefined } });
    assert.equal(config.merchant, 'option');
    assert.equal(config.tolerance, 5n);
    assert.equal(config.processes, 3);
    assert.deepEqual(config.http, { host: '0.0.0.0', port: 2000 });
    assert.equal(configOf(text, { env, options: { httpPort: '0' } }).http.port, 0);
    assert.equal(config.pollSeconds, 30);
    assert.equal(config.timeZone, 'Asia/Shanghai');
  });

  test('what is kept for how long may be said in several places, and is for ever where nothing is', () => {
    assert.deepEqual(configOf('').retention, { rowsMonths: null, rawTextMonths: null, archiveMonths: null });
    const text = 'retention: {rowsMonths: 12, archiveMonths: 36}';
    const env = { SETTLESTREAM_RETENTION_ROWS_MONTHS: '24', SETTLESTREAM_RETENTION_RAW_TEXT_MONTHS: '1' };
    assert.deepEqual(configOf(text, { env }).retention, { rowsMonths: 24, rawTextMonths: 1, archiveMonths: 36 });
    const forever = { SETTLESTREAM_RETENTION_ARCHIVE_MONTHS: 'forever' };
    assert.equal(configOf(text, { env: forever }).retention.archiveMonths, null);
    const [mistake] = mistakesIn(text, { env: { SETTLESTREAM_RETENTION_ROWS_MONTHS: '48' } });
    assert.match(mistake!, /^s\.yaml:1:29: retention\.archiveMonths: "36" is less than rowsMonths \(48\)/);
  });

  test('sources of the environment stand in place of those of the file, as YAML or JSON', () => {
    for (const text of ['[{"name": "env",\n\t"folder": "f"}]', '- name: env\n  folder: f']) {
      const { sources } = configOf(portal(), { env: { SETTLESTREAM_SOURCES: text } });
      assert.deepEqual(
        sources.map(({ name, folder }) => [name, folder]),
        [['env', resolve('f')]],
      );
    }
  });

  test('a variable that is set to nothing, and a key without a value, are not set', () => {
    const { merchant, sources, http } = configOf('merchant:\nsources:\nhttp:\n  port:\n', {
      env: { SETTLESTREAM_TOLERANCE: '', DATABASE_URL: '', SETTLESTREAM_CONFIG: '' },
    });
    assert.deepEqual({ merchant, sources, port: http.port }, { merchant: undefined, sources: [], port: 9464 });
  });

  test('the address of a server may stand in a file, as Docker and Kubernetes hand secrets over', () => {
    const file = join(folder, 'database-url');
    writeFileSync(file, 'postgres://u:hunter2@h/b\n');
    assert.equal(configOf('', { env: { DATABASE_URL_FILE: file } }).databaseUrl, 'postgres://u:hunter2@h/b');
    const nowhere = join(folder, 'nowhere');
    const told = mistakesIn('', {
      env: { DATABASE_URL_FILE: file, DATABASE_URL: 'postgres://h/b', REDIS_URL_FILE: nowhere },
    });
    assert.deepEqual(told, [
      'DATABASE_URL_FILE: DATABASE_URL is set too: remove one of them',
      'REDIS_URL_FILE=nowhere: does not exist.',
    ]);
    writeFileSync(file, 'hunter2');
    const wrong = mistakesIn('', { env: { DATABASE_URL_FILE: file } }).join('\n');
    assert.match(wrong, /^DATABASE_URL_FILE=\S+: is not an address like postgres:/);
    assert.doesNotMatch(wrong, /hunter2/);
  });

  test('the file is the one that is named, else the default one if it is there', () => {
    const named = join(folder, 'named.yaml');
    writeFileSync(named, 'merchant: named');
    assert.equal(configOf('merchant: default', { options: { config: named } }).merchant, 'named');
    assert.equal(configOf('merchant: default', { env: { SETTLESTREAM_CONFIG: named } }).merchant, 'named');
    assert.equal(configOf('merchant: default').merchant, 'default');
    assert.equal(readConfig({}, {}, join(folder, 'nowhere.yaml')).merchant, undefined);
    assert.equal(readConfig({}, {}, null).merchant, undefined);
  });

  test('a source has the settings of all, unless it says its own', () => {
    const all = 'merchant: M\namountUnit: minor\ntolerance: 7\npollSeconds: 60\ntimeZone: UTC\n';
    const own =
      'sources:\n  - {name: a, folder: f}\n  - {name: b, folder: f, tolerance: 0, amountUnit: major, merchantId: N}\n';
    const [a, b] = configOf(all + own).sources;
    assert.deepEqual(
      [a!.merchantId, a!.amountUnit, a!.tolerance, a!.pollSeconds, a!.timeZone, a!.lookbackDays],
      ['M', 'minor', 7n, 60, 'UTC', 120],
    );
    assert.deepEqual([b!.merchantId, b!.amountUnit, b!.tolerance, b!.timeZone], ['N', 'major', 0n, 'UTC']);
  });

  test('a source says how its text is read, in the words that people have for it', () => {
    for (const [said, encoding] of Object.entries({ 'UTF-8': 'utf8', gbk: 'gb18030', Latin1: 'windows-1252' })) {
      const [only] = sourcesOf(configOf(portal(`    encoding: ${said}`)));
      assert.equal(only!.encoding, encoding);
      assert.equal(rulesOf(only!).encoding, encoding);
    }
    const [silent] = sourcesOf(configOf(portal()));
    assert.equal('encoding' in rulesOf(silent!), false);
    assert.match(
      mistakesIn(portal('    encoding: utf-16'))[0]!,
      /encoding: "utf-16" is none of utf-8, gb18030 \(gbk\), windows-1252 \(latin1\)$/,
    );
  });

  test('a ledger is put together from all places, and knows where each part of it was said', () => {
    const text = 'merchant: M\nledger:\n  relation: shop.payments\n  columns: {requestId: ref, type: kind}\n';
    const env = {
      SETTLESTREAM_LEDGER_WHERE: `provider = 'x'`,
      SETTLESTREAM_LEDGER_COLUMNS: '{ type: sort, status: "State of it" }',
      SETTLESTREAM_LEDGER_TIME_ZONE: 'UTC',
    };
    const ledger = configOf(text, { env, options: { merchant: 'of this call alone' } }).ledger!;
    const { begin, ...said } = ledger;
    assert.deepEqual(said, {
      relation: { schema: 'shop', name: 'payments' },
      columns: { requestId: 'ref', type: 'sort', status: 'State of it' },
      where: `provider = 'x'`,
      timeZone: 'UTC',
      merchant: 'M',
    });
    assert.match(begin(['columns', 'requestId']), /s\.yaml:4:13: ledger\.columns\.requestId: "ref" $/);
    assert.equal(begin(['columns', 'type']), 'SETTLESTREAM_LEDGER_COLUMNS:1:3: ledger.columns.type: "sort" ');
    assert.equal(begin(['where']), `SETTLESTREAM_LEDGER_WHERE=provider = 'x': `);
    const relations = ['"My Shop"."pay.ments"', 'Payments', 'imported'].map(
      (relation) => configOf('', { env: { SETTLESTREAM_LEDGER_RELATION: relation } }).ledger!.relation,
    );
    assert.deepEqual(relations, [{ schema: 'My Shop', name: 'pay.ments' }, { schema: null, name: 'Payments' }, null]);
    assert.equal(configOf('').ledger, undefined);
  });

  test('the merchant of all is not put over the merchants that directories name', () => {
    const named =
      'merchant: M\nsources:\n  - name: a\n    folder: f\n    directories:\n      settlementDetails: in/{merchantId}\n';
    assert.equal(configOf(named).sources[0]!.merchantId, undefined);
  });

  test('paths of the file are below its folder; others below the working directory', () => {
    const text =
      'dataDir: book\narchive: {folder: ../archive}\nsources:\n  - {name: a, folder: ~/in}\n  - {name: b, folder: /in}\n';
    const config = configOf(text, { env: { SETTLESTREAM_FOLDER: 'reports' } });
    assert.equal(config.dataDir, join(folder, 'book'));
    assert.equal(config.archive.folder, resolve(folder, '../archive'));
    assert.equal(config.folder, resolve('reports'));
    assert.deepEqual(
      config.sources.map(({ folder }) => folder),
      [join(homedir(), 'in'), '/in'],
    );
  });
});

suite('values are taken as they are written', () => {
  test('ids keep all their digits, and words that YAML may take for something else are words', () => {
    const {
      merchant,
      folder: reports,
      sources,
    } = configOf(
      'merchant: 218812000000418827\nfolder: no\nsources:\n  - {name: 007, merchantId: 0x1F, folder: 1e3, customerIds: [1_000, 010, true]}\n',
    );
    assert.equal(merchant, '218812000000418827');
    assert.equal(reports, join(folder, 'no'));
    assert.deepEqual(
      [sources[0]!.name, sources[0]!.merchantId, sources[0]!.folder, sources[0]!.customerIds],
      ['007', '0x1F', join(folder, '1e3'), ['1_000', '010', 'true']],
    );
  });

  test('numbers may stand in quotes, and lines may end as on Windows', () => {
    assert.deepEqual(configOf('\uFEFFhttp:\r\n  port: "22"\r\n  host: localhost\r\n').http, {
      host: 'localhost',
      port: 22,
    });
  });

  test('what several sources share can be written once', () => {
    const text =
      'sources:\n  - {name: a, folder: f, names: &n {settlementSummary: "{batchId}_{currency}"}}\n  - {name: b, folder: f, names: *n}\n';
    const [a, b] = configOf(text).sources;
    assert.deepEqual([a!.names, b!.names], Array(2).fill({ settlementSummary: ['{batchId}_{currency}'] }));
  });

  test('names of reports are one or several, and lose their extension', () => {
    const [a] = configOf(
      portal(
        '    names:',
        '      transactionDetails: daily_{date}.CSV',
        '      settlementDetails:',
        '        - a_{currency}_{batchId}.xlsx',
        '        - b_{psp}_{currency}_{batchId}_{seq}',
      ),
    ).sources;
    assert.deepEqual(a!.names, {
      transactionDetails: ['daily_{date}'],
      settlementDetails: ['a_{currency}_{batchId}', 'b_{psp}_{currency}_{batchId}_{seq}'],
    });
  });

  test('every placeholder that a name may hold is one that names of files are read by', () => {
    const [a] = configOf(
      portal('    names:', '      settlementDetails: "{date}-{psp}-{currency}-{batchId}-{seq}"'),
    ).sources;
    const format = { ...formatNamed('apo'), names: { ...formatNamed('apo').names, ...a!.names } } as Format;
    const { kind, date, psp, settlementCurrency, batchId, seq } = readReportName('20260131-p-USD-77-003.csv', [
      format,
    ])!;
    assert.deepEqual(
      { kind, date, psp, settlementCurrency, batchId, seq },
      { kind: 'settlementDetails', date: '2026-01-31', psp: 'p', settlementCurrency: 'USD', batchId: '77', seq: 3 },
    );
  });

  test('a fingerprint may be written in each way that tools print it, and several stand in a list', () => {
    const base64 = '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU';
    const hex = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
    for (const written of [base64, `${base64}=`, `SHA256:${base64}`, hex, hex.toUpperCase(), `[${hex}]`]) {
      const [a] = configOf(server(`      hostKeySha256: ${written}`)).sources;
      assert.deepEqual(a!.sftp!.hostKeySha256, [`SHA256:${base64}`], written);
    }
  });
});

suite('a mistake is told with its place, and with what is allowed', () => {
  const TOP =
    'dataDir, folder, merchant, format, amountUnit, timeZone, tolerance, processes, chunkBytes, pollSeconds, quietMinutes, drainSeconds, http, console, archive, handling, retention, ledger, sources, bank';
  const SFTP =
    'host, fallbackHost, port, username, passwordEnv, passwordFile, privateKeyFile, passphraseEnv, hostKeySha256';
  const ONE_LOGIN = 'needs exactly one of passwordEnv, passwordFile, privateKeyFile';
  const NO_HOST = 'is not a host name or IP address: write it without sftp://, user and port';
  const NO_FINGERPRINT =
    'is not a SHA-256 fingerprint: write SHA256: and 43 characters, as ssh-keygen -l prints it, or 64 hex digits';
  const NO_MERCHANT =
    'is missing, and no other setting names the merchant: write its id here, or once for all sources as merchant';
  const CASES: Record<string, [text: string, ...lines: string[]]> = {
    'an unknown key': ['foldr: x', `1:1: foldr: is unknown; allowed: ${TOP}; did you mean folder?`],
    'one that resembles none': ['quietly: x', `1:1: quietly: is unknown; allowed: ${TOP}`],
    'one that objects of JavaScript have': ['constructor: x', `1:1: constructor: is unknown; allowed: ${TOP}`],
    'a deep one': [
      server('      prot: 22'),
      `8:7: sources[0].sftp.prot: is unknown; allowed: ${SFTP}; did you mean port?`,
    ],
    'no value of the enumeration': [
      'amountUnit: cents',
      '1:1: amountUnit: "cents" is neither major (14.50) nor minor (1450)',
    ],
    'another format': [
      'format: apx',
      '1:1: format: "apx" is neither one of apo, antom, adyen-settlement-details nor a .yaml file with a format of your own',
    ],
    'a console for other machines without a login': [
      'console: { host: 0.0.0.0, origin: "https://recon.example.com" }',
      '1:12: console.host: "0.0.0.0" is reached by other machines, and links sign in on this machine only: set console.login to oidc or proxy',
      '1:27: console.origin: "https://recon.example.com" is for people at other machines, and links sign in on this machine only: set console.login to oidc or proxy',
    ],
    'a login behind a proxy at no known address': [
      'console: { login: { proxy: { from: 10.0.0.5, nameHeader: X-User, rolesHeader: X-Roles } } }',
      '1:12: console.login: needs console.origin: the https address at which people reach the console',
    ],
    'an address that others can listen to': [
      'console: { origin: "http://recon.example.com", login: { proxy: { from: 10.0.0.5, nameHeader: X-User, rolesHeader: X-Roles } } }',
      '1:12: console.origin: "http://recon.example.com" is not an address like https://recon.example.com, without a path',
    ],
    'a proxy at every address': [
      'console: { origin: "https://a.example", login: { proxy: { from: [0.0.0.0/0, here], nameHeader: "X User", rolesHeader: X-Roles } } }',
      '1:66: console.login.proxy.from[0]: "0.0.0.0/0" is not an address or network like 10.0.0.5 or 10.1.0.0/16',
      '1:77: console.login.proxy.from[1]: "here" is not an address or network like 10.0.0.5 or 10.1.0.0/16',
      '1:84: console.login.proxy.nameHeader: "X User" is not the name of a header, as in X-Forwarded-User',
    ],
    'two ways in, and a secret that is nowhere': [
      'console:\n  login:\n    oidc: { issuer: "http://login.example.com", clientId: a, rolesClaim: b }\n    proxy: { from: 10.0.0.5, nameHeader: X-User, rolesHeader: X-Roles }\n    roles: { boss: [x] }',
      '3:13: console.login.oidc.issuer: "http://login.example.com" is not an address like https://login.example.com',
      '3:5: console.login.oidc: needs exactly one of clientSecretEnv, clientSecretFile',
      '5:14: console.login.roles.boss: is unknown; allowed: viewer, analyst, approver, engineer',
      '2:3: console.login: needs exactly one of oidc, proxy; leave login out to sign in by links',
    ],
    'too few months to look back': [
      'retention:\n  rowsMonths: 5\n  rawTextMonths: 0\n  archiveMonths: never',
      '2:3: retention.rowsMonths: "5" is neither forever nor a whole number of months from 6 to 1200',
      '3:3: retention.rawTextMonths: "0" is neither forever nor a whole number of months from 1 to 1200',
      '4:3: retention.archiveMonths: "never" is neither forever nor a whole number of months from 6 to 1200',
    ],
    'files that go before the rows that are read from them': [
      'retention: {rowsMonths: 24, archiveMonths: 12}',
      '1:29: retention.archiveMonths: "12" is less than rowsMonths (24), but old rows are restored from the archive: use at least as many months',
    ],
    'a folder that deletes files': [
      portal('    keepDays: 7'),
      '5:5: sources[0].keepDays: "7" needs sftp beside it: nobody deletes files from a local folder',
    ],
    'no number': ['http: {port: abc}', '1:8: http.port: "abc" is not a whole number from 0 to 65535'],
    'a number with a point': ['processes: 1.5', '1:1: processes: "1.5" is not a whole number from 1 to 64'],
    'too large a number': [
      server('      port: 70000'),
      '8:7: sources[0].sftp.port: "70000" is not a whole number from 1 to 65535',
    ],
    'a tolerance below zero': ['tolerance: -1', '1:1: tolerance: "-1" is not a whole number of minor units'],
    'no time zone': ['timeZone: Mars', '1:1: timeZone: "Mars" is not a time zone like Asia/Shanghai'],
    'an empty text': [
      'merchant: ""',
      '1:1: merchant: "" is empty, or contains a line end or another control character',
    ],
    'an empty one with a rule of its own': [
      'timeZone: ""',
      '1:1: timeZone: "" is empty, or contains a line end or another control character',
    ],
    'a list for one value': ['merchant: [a]', '1:1: merchant: is a list, and must be one value'],
    'one value for keys': ['http: 9464', '1:1: http: is one value, and must be keys with values'],
    'keys for a list': ['sources: {a: b}', '1:1: sources: is keys with values, and must be a list'],
    'no keys at all': ['merchant', '1:1: is one value, and must be keys with values'],
    'a missing name': ['sources:\n  - folder: f', '2:5: sources[0].name: is missing'],
    'a name without a value': ['sources:\n  - folder: f\n    name:', '3:5: sources[0].name: is missing'],
    'a missing host': [
      source('    sftp:', '      username: u', '      passwordEnv: P'),
      '4:5: sources[0].sftp.host: is missing',
    ],
    'a source from nowhere': [source(), '2:5: sources[0]: needs exactly one of folder, sftp'],
    'a source from two places': [server('    folder: f'), '2:5: sources[0]: needs exactly one of folder, sftp'],
    'a name that is no label': [
      'sources: [{name: A b, folder: f}]',
      '1:12: sources[0].name: "A b" is not a valid name: use lower case letters, digits and -',
    ],
    'the name of the command line': [
      'sources: [{name: files, folder: f}]',
      '1:12: sources[0].name: "files" is reserved for files of the command line: use another name',
    ],
    'the same name twice': [
      'sources:\n  - {name: a, folder: f}\n  - {name: b, folder: f}\n  - {name: a, folder: g}',
      '4:6: sources[2].name: "a" is the name of another source',
    ],
    'a server without a merchant': [
      'sources:\n  - name: a\n    sftp: {host: h, username: u, passwordEnv: P}',
      `2:5: sources[0].merchantId: ${NO_MERCHANT}`,
    ],
    'a folder without a merchant': [
      'sources:\n  - name: a\n    folder: f\n    directories: {settlementDetails: in}',
      `2:5: sources[0].merchantId: ${NO_MERCHANT}`,
    ],
    'no way to log in': [source('    sftp: {host: h, username: u}'), `4:5: sources[0].sftp: ${ONE_LOGIN}`],
    'two ways to log in': [server('      passwordFile: f'), `4:5: sources[0].sftp: ${ONE_LOGIN}`],
    'a passphrase without a key': [
      server('      passphraseEnv: P'),
      '8:7: sources[0].sftp.passphraseEnv: needs a privateKeyFile beside it',
    ],
    'an address for a host': [
      source('    sftp: {host: "sftp://h", username: u, passwordEnv: P}'),
      `4:12: sources[0].sftp.host: ${NO_HOST}`,
    ],
    'a host with a port': [server('      fallbackHost: "h:22"'), `8:7: sources[0].sftp.fallbackHost: ${NO_HOST}`],
    'another fingerprint': [
      server('      hostKeySha256: MD5:00:11'),
      `8:7: sources[0].sftp.hostKeySha256: "MD5:00:11" ${NO_FINGERPRINT}`,
    ],
    'one of several fingerprints': [
      server('      hostKeySha256:', `        - ${'a'.repeat(64)}`, '        - x'),
      `10:11: sources[0].sftp.hostKeySha256[1]: "x" ${NO_FINGERPRINT}`,
    ],
    'a directory of a server that is not absolute': [
      server('    directories:', '      settlementDetails: out/{date}'),
      '9:7: sources[0].directories.settlementDetails: "out/{date}" must start with /: it is a directory of the server',
    ],
    'a directory of a folder that is absolute': [
      portal('    directories:', '      settlementDetails: /out/{date}'),
      '6:7: sources[0].directories.settlementDetails: "/out/{date}" must not start with /: it is below the folder',
    ],
    'directories with other braces, with .. and with one thing twice': [
      portal(
        '    directories:',
        '      settlementDetails: out/{day}',
        '      settlementSummary: ../{date}',
        '      transactionDetails: out/{date}-{date}',
      ),
      '8:7: sources[0].directories.transactionDetails: "out/{date}-{date}" contains the same placeholder twice in one folder',
      '6:7: sources[0].directories.settlementDetails: "out/{day}" may contain {merchantId} and {date}, and no other braces',
      '7:7: sources[0].directories.settlementSummary: "../{date}" must not contain ..',
    ],
    'names that do not say what they have to': [
      portal(
        '    names:',
        '      transactionDetails: items',
        '      settlementDetails: [a, "b_{currency}_{batchId}_{seq}_{seq}"]',
        '      settlementSummary: in/{currency}_{batchId}',
      ),
      '7:27: sources[0].names.settlementDetails[0]: "a" lacks {currency} and {batchId}: the name must say which batch the report belongs to',
      '7:30: sources[0].names.settlementDetails[1]: "b_{currency}_{batchId}_{seq}_{seq}" contains the same placeholder twice',
      '8:7: sources[0].names.settlementSummary: "in/{currency}_{batchId}" is a path: write only the name here, and directories under directories',
      '6:7: sources[0].names.transactionDetails: "items" lacks {date}: the name or directories.transactionDetails must contain the day',
    ],
    'a name of a day with a batch': [
      portal('    names:', '      transactionDetails: "{date}_{batchId}"'),
      '6:7: sources[0].names.transactionDetails: "{date}_{batchId}" may contain {date} {psp} {seq}, and no other braces',
    ],
    'no customers': [
      portal('    customerIds: []'),
      '5:5: sources[0].customerIds: is empty: leave it out, or name the customers',
    ],
    'a ledger with two amounts': [
      'ledger:\n  relation: shop.payments\n  columns: {amount: a, amountMinor: b}',
      '3:24: ledger.columns.amountMinor: "b" is set beside amount: keep the one that counts',
    ],
    'columns and a time zone without their relation': [
      'ledger:\n  where: true\n  timeZone: UTC\n  columns: {type: kind}',
      '4:3: ledger.columns: needs a relation that it applies to',
      '3:3: ledger.timeZone: "UTC" needs a relation that it applies to',
    ],
    'a relation with too many parts, an empty condition and an unknown column': [
      'ledger:\n  relation: a.b.c\n  where: " "\n  columns: {requestID: id}',
      '2:3: ledger.relation: "a.b.c" is not a table or view: write schema.name, or imported for the records of "ledger import"',
      '4:13: ledger.columns.requestID: is unknown; allowed: requestId, type, amount, amountMinor, currency, status, occurredAt, merchantId, orderId, originalRequestId, source, updatedAt; did you mean requestId?',
      '3:3: ledger.where: " " is empty: leave it out where all records count',
    ],
    'a key with a line end': ['"a\\nb": 1', `1:1: a\uFFFDb: is unknown; allowed: ${TOP}`],
    'a long value': [
      `amountUnit: ${'x'.repeat(100)}`,
      `1:1: amountUnit: "${'x'.repeat(60)}…" is neither major (14.50) nor minor (1450)`,
    ],
    'a tab': ['http:\n\tport: 1', '2:1: this is a tab: indent with spaces.'],
    'a key twice, and the rest is read': [
      'folder: a\nfolder: b\nformat: c',
      '2:1: this key appears twice: keep one of them.',
      '3:1: format: "c" is neither one of apo, antom, adyen-settlement-details nor a .yaml file with a format of your own',
    ],
    'two documents': [
      'folder: a\n---\nfolder: b',
      '2:1: a second document begins here, but all settings must be in one: remove the line with --- or ...',
    ],
    'a tag': ['merchant: !env M', '1:11: this is a tag (a word that starts with !): remove it.'],
    'an open quote': [
      'merchant: "M\nfolder: x',
      '2:10: something is missing here or before: a closing quote or bracket, a colon, the - of a list, or quotes around a value with brackets.',
    ],
    'wrong indentation': [
      'http:\n  host: h\n    port: 1',
      '2:9: there is one colon too many, or the next line has the wrong indentation.',
    ],
    'an unknown anchor': [
      'merchant: *M',
      '1:11: there is no earlier anchor of this name: a value that starts with * needs quotes.',
    ],
    'anchors in anchors': ['sources: &a [*a, *a]', '1:14: anchors are repeated more than 100 times.'],
  };
  for (const [name, [text, ...lines]] of Object.entries(CASES)) {
    test(name, () => {
      const told = mistakesIn(text);
      assert.deepEqual(
        told,
        lines.map((line) => `s.yaml:${line}`),
      );
    });
  }

  test('brackets in brackets end at some depth', () => {
    assert.match(
      mistakesIn(`sources: ${'['.repeat(20_000)}`).join(),
      /^s\.yaml:1:\d+: lists or keys are nested too deeply\.$/,
    );
  });

  test('aliases of aliases end soon', () => {
    const lines = Array.from(
      { length: 30 },
      (_, at) => `a${at}: &a${at} [${at === 0 ? 'x' : Array(9).fill(`*a${at - 1}`)}]`,
    );
    assert.match(mistakesIn(lines.join('\n'))[0]!, /anchors are repeated more than 100 times/);
  });
});

suite('mistakes of all places are told in one answer', () => {
  test('of the file, the environment and the command line', () => {
    const told = mistakesIn('http: {port: abc}\nfoldr: x', {
      env: {
        SETTLESTREAM_HTTP_PORT: '70000',
        SETTLESTREAM_SOURCES: '- name: A\n  folder: f',
        SETTLESTREAM_DATADIR: 'x',
        SETTLESTREAM_LOG_LEVEL: 'loud',
        DATABASE_URL: 'mysql://h/x',
        REDIS_URL: 'localhost',
      },
      options: { httpPort: 'abc', pollSeconds: '0' },
    });
    assert.deepEqual(
      told.map((line) => line.replace(/allowed: .*/, 'allowed: …')),
      [
        's.yaml:1:8: http.port: "abc" is not a whole number from 0 to 65535',
        's.yaml:2:1: foldr: is unknown; allowed: …',
        'SETTLESTREAM_HTTP_PORT=70000: is not a whole number from 0 to 65535',
        'SETTLESTREAM_SOURCES:1:3: sources[0].name: "A" is not a valid name: use lower case letters, digits and -',
        '--poll-seconds=0: is not a whole number from 1 to 86400',
        '--http-port=abc: is not a whole number from 0 to 65535',
        'DATABASE_URL: is not an address like postgres://user:password@host:5432/book; in a password write # / ? @ as %23 %2F %3F %40',
        'REDIS_URL: is not an address like redis://:password@host:6379; in a password write # / ? @ as %23 %2F %3F %40',
        'SETTLESTREAM_LOG_LEVEL=loud: is none of trace, debug, info, warn, error, fatal, silent',
        'SETTLESTREAM_DATADIR: unknown; did you mean SETTLESTREAM_DATA_DIR?',
      ],
    );
  });

  test('of a file that cannot be read, too', () => {
    mkdirSync(join(folder, 'dir'));
    writeFileSync(join(folder, 'latin.yaml'), Buffer.from('merchant: M\xfcnchen', 'latin1'));
    writeFileSync(join(folder, 'large.yaml'), Buffer.alloc(10 << 20, '#'));
    const env = { SETTLESTREAM_HTTP_PORT: 'x' };
    for (const [file, sentence] of [
      ['nowhere.yaml', 'does not exist.'],
      ['dir', 'is a folder, not a file.'],
      ['latin.yaml', 'is not UTF-8 text: save it in this encoding.'],
      ['large.yaml', 'is larger than 1 MiB: check that it is the right file.'],
    ] as const) {
      const port = 'SETTLESTREAM_HTTP_PORT=x: is not a whole number from 0 to 65535';
      const config = join(folder, file);
      assert.deepEqual(mistakesIn('', { options: { config }, env }), [`--config=${file}: ${sentence}`, port]);
      const named = { ...env, SETTLESTREAM_CONFIG: config };
      assert.deepEqual(mistakesIn('', { env: named }), [`SETTLESTREAM_CONFIG=${file}: ${sentence}`, port]);
    }
  });

  test('variables that are not ours to judge are no mistakes', () => {
    const env = {
      SETTLESTREAM_LOG_LEVEL: 'debug',
      SETTLESTREAM_TEST_SEEDS: '1',
      SETTLESTREAM_SFTP_PASSWORD: 'named by the source',
      SETTLESTREAM_SERVICE_HOST: '10.0.0.1',
      SETTLESTREAM_SERVICE_PORT_METRICS: '9464',
      SETTLESTREAM_PORT: 'tcp://10.0.0.1:9464',
      SETTLESTREAM_PORT_9464_TCP_ADDR: '10.0.0.1',
    };
    const text = source('    sftp: {host: h, username: u, passwordEnv: SETTLESTREAM_SFTP_PASSWORD}');
    assert.equal(configOf(text, { env }).sources.length, 1);
    assert.match(mistakesIn(portal(), { env })[0]!, /^SETTLESTREAM_SFTP_PASSWORD: unknown/);
  });

  test('every verb reads the file that --config names', async () => {
    const file = join(folder, 'wrong.yaml');
    writeFileSync(file, 'foldr: x');
    for (const verb of [
      ['reconcile', folder],
      ['ledger', 'import', 'records.csv'],
      ['run'],
      ['produce'],
      ['work'],
      ['migrate'],
      ['batches'],
      ['show', '1'],
    ]) {
      const { code, stdout, stderr } = await settlestream([...verb, '--config', file], { cwd: folder });
      assert.deepEqual([code, stdout], [2, ''], verb.join(' '));
      assert.match(stderr, /^settlestream: .*wrong\.yaml:1:1: foldr: is unknown/, verb.join(' '));
    }
  });
});

suite('a secret is never shown', () => {
  const SECRET = 'hunter2';
  const WAYS: Record<string, [text: string, places?: Places]> = {
    'a password in the file': [server(`      password: ${SECRET}`)],
    'a password for the name of a variable': [source(`    sftp: {host: h, username: u, passwordEnv: ${SECRET}}`)],
    'a passphrase for the name of a variable': [server(`      passphraseEnv: ${SECRET}`)],
    'a private key in the file': [server(`      privateKey: ${SECRET}`)],
    'a password in an address': [source(`    sftp: {host: "u:${SECRET}@h", username: u, passwordEnv: P}`)],
    'a password in place of a server': [source(`    sftp: ${SECRET}`)],
    'the address of the database in the file': [`databaseUrl: postgres://u:${SECRET}@h/b`],
    'a wrong address of the database': ['', { env: { DATABASE_URL: `postgres://u:${SECRET}#@h/b` } }],
    'a wrong address of Redis': ['', { env: { REDIS_URL: `:${SECRET}@h` } }],
    'an unknown variable': ['', { env: { SETTLESTREAM_PASSWORD: SECRET } }],
    'a password in place of sources': ['', { env: { SETTLESTREAM_SOURCES: SECRET } }],
    'a password that YAML cannot read': [`sources: "${SECRET}\n`],
    'one that looks like an alias': [`merchant: *${SECRET}`],
    'one that looks like a tag': [`merchant: !${SECRET} x`],
    'one that starts with a wrong character': [`merchant: @${SECRET}`],
    'one in brackets': [`merchant: {${SECRET}]`],
  };
  for (const [name, [text, places]] of Object.entries(WAYS)) {
    test(name, () => assert.doesNotMatch(mistakesIn(text, places).join('\n'), new RegExp(SECRET)));
  }

  test('and it is said where it belongs', () => {
    assert.match(
      mistakesIn(server(`      password: ${SECRET}`))[0]!,
      /sftp\.password: does not belong here: write passwordEnv, .* or passwordFile$/,
    );
    assert.match(mistakesIn('databaseUrl: x')[0]!, /databaseUrl: .* set the variable DATABASE_URL$/);
    assert.match(mistakesIn('redisUrl: x')[0]!, /redisUrl: .* set the variable REDIS_URL$/);
  });
});

suite('secrets are read where the settings say they are', () => {
  const login: SftpConfig = { host: 'h', port: 22, username: 'u' };
  const file = (name: string, text: string, mode = 0o600): string => {
    const path = join(folder, name);
    writeFileSync(path, text);
    chmodSync(path, mode);
    return path;
  };

  test('a password of a variable or a file, a key with its passphrase', () => {
    const none = { password: null, privateKey: null, passphrase: null };
    assert.deepEqual(secretsOf({ ...login, passwordEnv: 'PW' }, { PW: ' p\n' }), { ...none, password: ' p\n' });
    for (const text of ['p ', 'p \n', 'p \r\n']) {
      const passwordFile = file('password', text, 0o644);
      assert.deepEqual(secretsOf({ ...login, passwordFile }, {}), { ...none, password: 'p ' });
    }
    const privateKeyFile = file('key', 'KEY\n');
    assert.deepEqual(secretsOf({ ...login, privateKeyFile }, {}), { ...none, privateKey: 'KEY\n' });
    assert.deepEqual(secretsOf({ ...login, privateKeyFile, passphraseEnv: 'PP' }, { PP: 'x' }), {
      ...none,
      privateKey: 'KEY\n',
      passphrase: 'x',
    });
  });

  test('what is not there, or open to all, is told', () => {
    const of = (more: Partial<SftpConfig>, env: Record<string, string> = {}) =>
      usageError(() => secretsOf({ ...login, ...more }, env));
    const unset = 'PW is not set, but the passwordEnv of u@h names it: put the secret into it.';
    assert.equal(of({ passwordEnv: 'PW' }), unset);
    assert.equal(of({ passwordEnv: 'PW' }, { PW: '' }), unset);
    const nowhere = join(folder, 'nowhere');
    assert.equal(of({ passwordFile: nowhere }), 'nowhere, the passwordFile of u@h, does not exist.');
    assert.equal(of({ privateKeyFile: nowhere }), 'nowhere, the privateKeyFile of u@h, does not exist.');
    const empty = file('empty', '\n');
    assert.equal(of({ passwordFile: empty }), 'empty, the passwordFile of u@h, is empty: write the secret into it.');
    for (const mode of [0o604, 0o640]) {
      const privateKeyFile = file('open', 'KEY', mode);
      assert.equal(
        of({ privateKeyFile }),
        'open is a private key that others on this machine can read: run chmod 600 open',
      );
    }
  });
});

suite('the example', () => {
  test('can be used as it is', () => {
    const { sources } = readConfig({ config: EXAMPLE }, {});
    assert.deepEqual(
      sources.map(({ name, sftp }) => [name, sftp?.passwordEnv ?? sftp?.privateKeyFile ?? null]),
      [
        ['europe', 'SFTP_PASSWORD'],
        ['asia', '/etc/settlestream/id_ed25519'],
        ['portal', null],
      ],
    );
  });

  test('names every key there is, and says what holds without it', () => {
    const text = readFileSync(EXAMPLE, 'utf8');
    const missing = keysOf(settingsShape({ folder, hasMerchant: true })).filter(
      (key) => !new RegExp(`\\b${key}:`).test(text),
    );
    assert.deepEqual(missing, []);
    const above = text.slice(0, text.indexOf('\nsources:')).replaceAll(/^# (?=\w+:| {2})/gm, '');
    const { dataDir, archive, ledger, handling, console, ...said } = configOf(above);
    const { processes, console: without, ...always } = readConfig({}, {}, null);
    assert.deepEqual({ ...said, archive: {}, ledger: undefined, handling: { approval: {} } }, { ...always, processes });
    assert.deepEqual(handling.approval, { EUR: 10_000n, JPY: 15_000n });
    assert.deepEqual([console.host, console.port], [without.host, without.port]);
    assert.deepEqual([console.isSaid, console.login?.oidc?.clientId], [true, 'settlestream']);
    assert.deepEqual([without.isSaid, without.login], [false, null]);
    assert.deepEqual(ledger!.relation, { schema: 'shop', name: 'payments' });
    assert.equal(ledger!.columns.requestId, 'payment_ref');
    assert.deepEqual(
      [dataDir, archive.folder],
      [join(folder, 'settlestream-data'), join(folder, 'settlestream-data/archive')],
    );
  });
});

suite('the bank', () => {
  test('accounts are the same however they are printed, and belong to one merchant or several', () => {
    const { bank } = configOf(
      'bank:\n  accounts:\n    - { account: nl91 abna 0417 1643 00, currency: EUR, merchantId: M1 }\n    - { account: "77", currency: JPY, merchantId: [M1, M2] }\n  payers: ANTOM*\n  payoutDays: 3\n',
    );
    assert.deepEqual(bank, {
      accounts: [
        { account: 'NL91ABNA0417164300', currency: 'EUR', merchantId: ['M1'] },
        { account: '77', currency: 'JPY', merchantId: ['M1', 'M2'] },
      ],
      payers: ['ANTOM*'],
      payoutDays: 3,
    });
  });

  test('mistakes are told with their place', () => {
    const mistakes: readonly (readonly [string, RegExp])[] = [
      ['accounts: []', /bank\.accounts: .*is empty/],
      ['accounts: [{ account: "1", currency: EURO }]', /bank\.accounts\[0\]\.currency: "EURO" is not an ISO 4217/],
      ['accounts: [{ account: "1", currency: EUR }, { account: " 1", currency: EUR }]', /named twice/],
      ['payoutDays: 99', /bank\.payoutDays: "99" is not a whole number from 0 to 60/],
      ['sources: [{ name: files, folder: f }]', /bank\.sources\[0\]\.name: "files" is reserved/],
      ['sources: [{ name: a, folder: f }, { name: a, folder: f }]', /bank\.sources\[1\]\.name: .*another source/],
      ['sources: [{ name: a }]', /needs exactly one of folder, sftp/],
      ['sources: [{ name: a, folder: f, directory: /x }]', /needs sftp beside it/],
    ];
    for (const [text, expected] of mistakes) assert.match(mistakesIn(`bank:\n  ${text}\n`).join('\n'), expected, text);
  });
});
