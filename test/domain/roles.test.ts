import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Admission, claimNamed, personOfClaims } from '../../src/domain/roles.ts';

const OPEN: Admission = { roles: null, isByMerchant: false };
const BY_GROUP: Admission = { roles: { analyst: ['finance'], approver: ['heads', 'finance'] }, isByMerchant: true };

test('what is not said gives no right, in whatever form it is said', () => {
  for (const name of [undefined, null, 7, '', ' ', ['ann'], 'System', 'a\nb'])
    assert.equal(typeof personOfClaims({ name, roles: 'viewer', merchants: null }, OPEN), 'string', String(name));
  for (const roles of [
    undefined,
    null,
    '',
    [],
    {},
    { analyst: true },
    'Analyst',
    'admin',
    [['analyst']],
    'analyst engineer',
  ])
    assert.equal(typeof personOfClaims({ name: 'ann', roles, merchants: null }, OPEN), 'string', JSON.stringify(roles));
  for (const merchants of [undefined, null, '', ' , ', [], [''], {}, 7])
    assert.equal(typeof personOfClaims({ name: 'ann', roles: 'finance', merchants }, BY_GROUP), 'string');
  const named = { name: 'ann', roles: 'analyst', merchants: '*' };
  assert.equal(typeof personOfClaims(named, BY_GROUP), 'string', 'the role itself is no group');
});

test('roles are the names themselves, or what they are translated to; merchants are listed, or all', () => {
  assert.deepEqual(personOfClaims({ name: ' ann ', roles: 'engineer, viewer, x', merchants: 'M1' }, OPEN), {
    name: 'ann',
    roles: ['viewer', 'engineer'],
    merchants: null,
  });
  assert.deepEqual(personOfClaims({ name: 'ann', roles: ['finance'], merchants: 'M1, M2' }, BY_GROUP), {
    name: 'ann',
    roles: ['analyst', 'approver'],
    merchants: ['M1', 'M2'],
  });
  const all = personOfClaims({ name: 'bob', roles: ['heads'], merchants: ['M1', '*'] }, BY_GROUP);
  assert.deepEqual(all, { name: 'bob', roles: ['approver'], merchants: null });
});

test('a claim is found by its name, or by the way to it', () => {
  const claims = { 'https://a.example/roles': ['x'], realm_access: { roles: ['y'] }, text: 'z' };
  assert.deepEqual(claimNamed(claims, 'https://a.example/roles'), ['x']);
  assert.deepEqual(claimNamed(claims, 'realm_access.roles'), ['y']);
  for (const name of ['realm_access.none', 'text.length', 'constructor', '__proto__', 'realm_access.constructor'])
    assert.equal(claimNamed(claims, name), undefined, name);
});
