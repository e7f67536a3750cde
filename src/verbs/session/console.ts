import { type ConsoleConfig, clientSecretOf } from '../../config/config.ts';
import type { OidcSettings } from '../../console/login/oidc.ts';

type Oidc = NonNullable<NonNullable<ConsoleConfig['login']>['oidc']>;

/** How people sign in at an identity provider, with what the settings leave out, and with the secret. */
export const oidcSettings = (oidc: Oidc): OidcSettings => ({
  issuer: oidc.issuer,
  clientId: oidc.clientId,
  clientSecret: clientSecretOf(oidc),
  scope: oidc.scope ?? 'openid email profile',
  nameClaim: oidc.nameClaim ?? 'email',
  rolesClaim: oidc.rolesClaim,
  merchantsClaim: oidc.merchantsClaim ?? null,
});
