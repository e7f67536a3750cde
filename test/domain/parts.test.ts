import assert from 'node:assert/strict';
import { test } from 'node:test';
import { missingParts, missingReports, type Part, readParts } from '../../src/domain/matching/parts.ts';

/** '000', 'WALLET 001 waiting', '000 xlsx', 'portal refused'. */
function part(text: string): Part {
  const seq = text.match(/\b\d{3}\b/)?.[0];
  const psp = text.match(/[A-Z]+/)?.[0] ?? null;
  const date = text.match(/\b\d{8}\b/)?.[0] ?? '20260105';
  const extension = text.includes('xlsx') || text.includes('portal') ? 'xlsx' : 'csv';
  return {
    name: `items_${psp === null ? '' : `${psp}_`}${date}_${seq ?? '000'}.${extension}`,
    psp,
    seq: Number(seq ?? 0),
    isPortal: text.includes('portal'),
    state: (text.match(/waiting|refused|duplicate/)?.[0] as Part['state']) ?? 'closed',
  };
}

function check(reports: string[], expected: { read: string[]; missing?: string[]; duplicates?: string[] }) {
  for (const given of [reports, reports.toReversed()]) {
    const { read, missing, duplicates } = readParts(given.map((text) => ({ ...part(text), text })));
    assert.deepEqual(
      {
        read: read.map((it) => it.text),
        missing: missing.map((it) => `${it.psp ? `${it.psp} ` : ''}${String(it.seq).padStart(3, '0')} ${it.why}`),
        duplicates: duplicates.map((it) => it.text).sort(),
      },
      { read: expected.read, missing: expected.missing ?? [], duplicates: expected.duplicates ?? [] },
      reports.join(', '),
    );
  }
}

test('parts are read in order, each name by itself, the plain one first', () => {
  check(['000'], { read: ['000'] });
  check(['000', '001', '002'], { read: ['000', '001', '002'] });
  check(['000', 'ALIPAY 000', 'ALIPAY 001', 'WALLET 000'], { read: ['000', 'ALIPAY 000', 'ALIPAY 001', 'WALLET 000'] });
});

test('two reports of other dates in one folder are both read', () => {
  check(['20260104 000', '20260105 000'], { read: ['20260104 000', '20260105 000'] });
});

test('a gap, a waiting and a refused part are missing, one each', () => {
  check(['001', '003'], { read: ['001', '003'], missing: ['000 absent', '002 absent'] });
  check(['000', '001 waiting', '002 refused'], { read: ['000'], missing: ['001 waiting', '002 refused'] });
  check(['000', '003 refused'], { read: ['000'], missing: ['001 absent', '002 absent', '003 refused'] });
  check(['000', 'WALLET 000 waiting'], { read: ['000'], missing: ['WALLET 000 waiting'] });
});

test('where no part is there, the report is missing and not its parts', () => {
  check([], { read: [] });
  check(['000 waiting', '002 refused'], { read: [] });
});

test('of two names that differ only in extension the CSV is read, unless it cannot be', () => {
  check(['000', '000 xlsx'], { read: ['000'], duplicates: ['000 xlsx'] });
  check(['000 refused', '000 xlsx'], { read: ['000 xlsx'] });
  check(['000 waiting', '000 xlsx'], { read: ['000 xlsx'] });
  check(['000', '000 xlsx refused'], { read: ['000'] });
  check(['000', '000 duplicate'], { read: ['000'] });
});

test('a portal export is read only while the parts are not whole', () => {
  check(['portal'], { read: ['portal'] });
  check(['000', 'portal'], { read: ['000'], duplicates: ['portal'] });
  check(['001', 'portal'], { read: ['portal'], duplicates: ['001'] });
  check(['000 waiting', 'portal'], { read: ['portal'] });
  check(['001', 'portal refused'], { read: ['001'], missing: ['000 absent'] });
  check(['portal waiting'], { read: [] });
});

test('what is missing is told', () => {
  const { missing } = readParts(['000', '002 waiting', 'WALLET 001'].map(part));
  assert.deepEqual(
    missingParts('settlementDetails', missing).map((it) => [
      it.kind,
      it.field,
      it.reported,
      it.recorded,
      it.line,
      it.message,
    ]),
    [
      ['missing_part', 'settlementDetails', null, '001', null, 'Part 001 of the settlement details is missing.'],
      [
        'missing_part',
        'settlementDetails',
        null,
        '002',
        null,
        'Part 002 of the settlement details is not completely uploaded.',
      ],
      [
        'missing_part',
        'settlementDetails',
        null,
        '000',
        null,
        'Part 000 of the settlement details of WALLET is missing.',
      ],
    ],
  );
  const [there, nothing] = [readParts([part('000')]), readParts([part('000 waiting')])];
  assert.deepEqual(
    missingReports(there, nothing).map((it) => it.kind),
    ['missing_summary'],
  );
  assert.deepEqual(
    missingReports(nothing, there).map((it) => it.kind),
    ['missing_details'],
  );
  assert.deepEqual(missingReports(there, there), []);
});
