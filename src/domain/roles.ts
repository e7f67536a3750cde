import { nameMistake } from './handling.ts';

export const ROLES = ['viewer', 'analyst', 'approver', 'engineer'] as const;
export type Role = (typeof ROLES)[number];

/** Who uses the console, what they may do, and whose rows they may see (null: those of all merchants). */
export type Person = {
  readonly name: string;
  readonly roles: readonly Role[];
  readonly merchants: readonly string[] | null;
};

/** What an identity provider or a proxy says of somebody. */
export type Claims = { readonly name: unknown; readonly roles: unknown; readonly merchants: unknown };

/** How claims are understood: which names (of groups, for example) give a role, and whether it is said whose rows somebody may see. */
export type Admission = {
  /** Null: roles are called as they are here. */
  readonly roles: Readonly<Partial<Record<Role, readonly string[] | undefined>>> | null;
  readonly isByMerchant: boolean;
};

/** What says that all merchants may be seen. */
const ALL = '*';

/** The person that claims describe; a text says why nobody is let in. What is not said gives no right. */
export function personOfClaims({ name, roles, merchants }: Claims, admission: Admission): Person | string {
  if (typeof name !== 'string') return 'the login does not say the name';
  const mistake = nameMistake(name);
  if (mistake !== null) return `the name ${mistake}`;
  const said = listIn(roles);
  const given = ROLES.filter((role) =>
    (admission.roles?.[role] ?? (admission.roles ? [] : [role])).some((one) => said.includes(one)),
  );
  if (given.length === 0) return 'the login gives no role';
  if (!admission.isByMerchant) return { name: name.trim(), roles: given, merchants: null };
  const seen = listIn(merchants);
  if (seen.length === 0) return 'the login names no merchant';
  return { name: name.trim(), roles: given, merchants: seen.includes(ALL) ? null : seen };
}

/** A list, or a text with commas. Whatever else is said gives nothing. */
function listIn(said: unknown): string[] {
  const parts = typeof said === 'string' ? said.split(',') : Array.isArray(said) ? said : [];
  return parts.flatMap((part) => (typeof part === 'string' && part.trim() !== '' ? [part.trim()] : []));
}

/** A claim by its name, or by the way to it: `realm_access.roles`. */
export function claimNamed(claims: Readonly<Record<string, unknown>>, name: string): unknown {
  if (Object.hasOwn(claims, name)) return claims[name];
  let at: unknown = claims;
  for (const key of name.split('.')) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return undefined;
    at = (at as Readonly<Record<string, unknown>>)[key];
  }
  return at;
}
