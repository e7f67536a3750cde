import { BlockList, isIP } from 'node:net';
import { type Admission, type Person, personOfClaims } from '../../domain/roles.ts';

/** Signing in at a proxy in front, which says in headers who somebody is. */
export type ProxyLogin = {
  readonly way: 'proxy';
  /** Whether an address is one of the proxy: of all others not even a header is looked at. */
  isFrom(address: string | undefined): boolean;
  /** Who somebody is, by the headers as they came; a text says why they are not let in. */
  personOf(rawHeaders: readonly string[]): Person | string;
};

export type ProxySettings = {
  readonly from: readonly string[];
  readonly nameHeader: string;
  readonly rolesHeader: string;
  readonly merchantsHeader: string | null;
};

export function proxyLogin(settings: ProxySettings, admission: Admission): ProxyLogin {
  const known = new BlockList();
  for (const network of settings.from) {
    const [address = '', bits] = network.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    if (bits === undefined) known.addAddress(address, family);
    else known.addSubnet(address, Number(bits), family);
  }
  return {
    way: 'proxy',
    isFrom(address = '') {
      const plain = address.replace(/^::ffff:(?=\d+\.)/, '');
      return isIP(plain) !== 0 && known.check(plain, isIP(plain) === 6 ? 'ipv6' : 'ipv4');
    },
    personOf(rawHeaders) {
      const names = [settings.nameHeader, settings.rolesHeader, settings.merchantsHeader];
      const [name, roles, merchants] = names.map((header) => (header === null ? [] : valuesOf(rawHeaders, header)));
      // Of two, one may have come from the browser.
      if ([name!, roles!, merchants!].some((values) => values.length > 1)) return 'a header of the login came twice';
      return personOfClaims({ name: name![0], roles: roles![0], merchants: merchants![0] }, admission);
    },
  };
}

/** Node gives header values as latin1; proxies send UTF-8. */
const valuesOf = (rawHeaders: readonly string[], header: string): string[] =>
  rawHeaders.flatMap((name, at) =>
    at % 2 === 0 && name.toLowerCase() === header.toLowerCase()
      ? [Buffer.from(rawHeaders[at + 1]!, 'latin1').toString('utf8')]
      : [],
  );
