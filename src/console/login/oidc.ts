import * as client from 'openid-client';
import { type Admission, claimNamed, type Person, personOfClaims } from '../../domain/roles.ts';

/** What is remembered of somebody who is on the way to the identity provider: in a cookie of theirs, for ten minutes. */
export type Begun = { readonly state: string; readonly nonce: string; readonly verifier: string };

/** Signing in at an identity provider. */
export type OidcLogin = {
  readonly way: 'oidc';
  /** Where to send somebody who wants to come in. */
  begin(redirectUri: string): Promise<{ readonly to: string; readonly begun: Begun }>;
  /** Who has come back from there; a text says why they are not let in. */
  finish(cameBack: URL, begun: Begun): Promise<Person | string>;
};

export type OidcSettings = {
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly scope: string;
  readonly nameClaim: string;
  readonly rolesClaim: string;
  readonly merchantsClaim: string | null;
};

const ANSWER_SECONDS = 5;

/** The authorization code flow with PKCE, state and nonce. The provider is asked what it can when somebody first comes. */
export function oidcLogin(settings: OidcSettings, admission: Admission): OidcLogin {
  let known: Promise<client.Configuration> | undefined;
  const provider = () => {
    known ??= providerOf(settings).catch((error: Error) => {
      known = undefined;
      throw error;
    });
    return known;
  };
  return {
    way: 'oidc',
    async begin(redirectUri) {
      const verifier = client.randomPKCECodeVerifier();
      const begun = { state: client.randomState(), nonce: client.randomNonce(), verifier };
      const to = client.buildAuthorizationUrl(await provider(), {
        redirect_uri: redirectUri,
        scope: settings.scope,
        state: begun.state,
        nonce: begun.nonce,
        code_challenge: await client.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
      });
      return { to: to.href, begun };
    },
    async finish(cameBack, { state, nonce, verifier }) {
      const asked = await provider();
      const tokens = await client.authorizationCodeGrant(asked, cameBack, {
        expectedState: state,
        expectedNonce: nonce,
        pkceCodeVerifier: verifier,
        idTokenExpected: true,
      });
      return personOfClaims(await claimsOf(settings, asked, tokens), admission);
    },
  };
}

/** What the provider can do, and how it wants to see the secret. */
export async function providerOf({ issuer, clientId, clientSecret }: OidcSettings): Promise<client.Configuration> {
  const url = new URL(issuer);
  const timeout = ANSWER_SECONDS;
  // Only an issuer on this machine may be without TLS: the settings allow no other.
  const execute = [
    client.enableNonRepudiationChecks,
    ...(url.protocol === 'http:' ? [client.allowInsecureRequests] : []),
  ];
  const basic = await client.discovery(url, clientId, undefined, client.ClientSecretBasic(clientSecret), {
    execute,
    timeout,
  });
  const ways = basic.serverMetadata().token_endpoint_auth_methods_supported;
  if (ways === undefined || ways.includes('client_secret_basic')) return basic;
  return client.discovery(url, clientId, undefined, client.ClientSecretPost(clientSecret), { execute, timeout });
}

type Tokens = Awaited<ReturnType<typeof client.authorizationCodeGrant>>;

/** Many providers put into the token only what identifies somebody, and tell the rest when asked. */
async function claimsOf(
  { nameClaim, rolesClaim, merchantsClaim }: OidcSettings,
  asked: client.Configuration,
  tokens: Tokens,
) {
  const inToken = tokens.claims()!;
  const names = [nameClaim, rolesClaim, ...(merchantsClaim === null ? [] : [merchantsClaim])];
  const isComplete = names.every((name) => claimNamed(inToken, name) !== undefined);
  const canAsk = asked.serverMetadata().userinfo_endpoint !== undefined;
  const told = isComplete || !canAsk ? {} : await client.fetchUserInfo(asked, tokens.access_token, inToken.sub);
  const all: Readonly<Record<string, unknown>> = { ...told, ...inToken };
  // An address that nobody has confirmed may be another person's. Some providers write the word as text.
  const isUnconfirmed = nameClaim === 'email' && `${all['email_verified']}`.toLowerCase() === 'false';
  return {
    name: isUnconfirmed ? undefined : claimNamed(all, nameClaim),
    roles: claimNamed(all, rolesClaim),
    merchants: merchantsClaim === null ? undefined : claimNamed(all, merchantsClaim),
  };
}
