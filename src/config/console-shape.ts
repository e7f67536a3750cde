import { isIP } from 'node:net';
import type { z } from 'zod';
import { ROLES } from '../domain/roles.ts';
import { type Check, group, host, listOf, text, variable, wholeNumber } from './values.ts';

export type ConsoleSettings = z.output<ReturnType<typeof consoleShape>>;

/** Where people look and decide, and how they come in. */
export function consoleShape<Path extends z.ZodType<string>>(path: Path) {
  return group({
    host: host.optional(),
    /** Port 0 is any that is free. */
    port: wholeNumber(0, 65_535).optional(),
    /** Where people reach it: the address of the proxy in front. */
    origin: text.refine(isOrigin, 'is not an address like https://recon.example.com, without a path').optional(),
    login: loginShape(path).optional(),
  });
}

/** Https, or http on this machine alone. */
function isOrigin(given: string): boolean {
  const url = URL.canParse(given) ? new URL(given) : null;
  return url !== null && url.origin === given && (url.protocol === 'https:' || isLoopback(url.hostname));
}

export const isLoopback = (name: string): boolean => /^(localhost|127(\.\d{1,3}){3}|\[?::1\]?)$/.test(name);

function loginShape<Path extends z.ZodType<string>>(path: Path) {
  const claim = text;
  return group(
    {
      oidc: group(
        {
          issuer: text.refine(isIssuer, 'is not an address like https://login.example.com'),
          clientId: text,
          clientSecretEnv: variable.optional(),
          clientSecretFile: path.optional(),
          scope: text.refine((scope) => scope.split(' ').includes('openid'), 'lacks openid').optional(),
          nameClaim: claim.optional(),
          rolesClaim: claim,
          /** Without it everybody sees the rows of all merchants. */
          merchantsClaim: claim.optional(),
        },
        checkSecret,
      ).optional(),
      proxy: group({
        /** Addresses and networks of the proxy; from all others nobody comes in. */
        from: listOf(text.refine(isNetwork, 'is not an address or network like 10.0.0.5 or 10.1.0.0/16')).refine(
          (all) => all.length > 0,
          'is empty: name the address of the proxy',
        ),
        nameHeader: header,
        rolesHeader: header,
        merchantsHeader: header.optional(),
      }).optional(),
      /** Which names of the claim or header give a role. Without it they are the roles themselves. */
      roles: group({
        ...(Object.fromEntries(ROLES.map((role) => [role, listOf(text).optional()])) as Record<
          (typeof ROLES)[number],
          z.ZodOptional<ReturnType<typeof listOf<typeof text>>>
        >),
      }).optional(),
    },
    checkLogin,
  );
}

const header = text.regex(/^[A-Za-z0-9-]+$/, 'is not the name of a header, as in X-Forwarded-User');

function isIssuer(given: string): boolean {
  const url = URL.canParse(given) ? new URL(given) : null;
  return url !== null && (url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname)));
}

/** Not every address: then the header would be no login. */
function isNetwork(given: string): boolean {
  const [address = '', bits, ...more] = given.split('/');
  const family = isIP(address);
  if (family === 0 || more.length > 0) return false;
  return bits === undefined || (/^[1-9]\d{0,2}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
}

const checkSecret: Check = (oidc, refuse) => {
  const ways = ['clientSecretEnv', 'clientSecretFile'];
  if (ways.filter((way) => oidc[way] !== undefined).length !== 1) refuse([], `needs exactly one of ${ways.join(', ')}`);
};

const checkLogin: Check = (login, refuse) => {
  const ways = ['oidc', 'proxy'].filter((way) => login[way] !== undefined);
  if (ways.length !== 1) refuse([], 'needs exactly one of oidc, proxy; leave login out to sign in by links');
};
