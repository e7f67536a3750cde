import type { ConsoleConfig } from '../../config/config.ts';
import { providerOf } from '../../console/login/oidc.ts';
import { UsageError } from '../../domain/errors.ts';
import { oidcSettings } from '../session/console.ts';
import { away, type Checked, ok, problem } from './check.ts';

/** Whether people can come into the console as the settings say. */
export async function checkConsole({ login, origin }: ConsoleConfig): Promise<readonly Checked[]> {
  if (login === null) return [];
  const { oidc, proxy } = login;
  if (oidc === undefined)
    return [ok('console', `${origin}: signed in by a proxy at ${proxy!.from.join(', ')}, in ${proxy!.nameHeader}`)];
  try {
    const provider = await providerOf(oidcSettings(oidc));
    return [ok('console', `${origin ?? 'on this machine'}: signed in at ${provider.serverMetadata().issuer}`)];
  } catch (error) {
    const { message, cause } = error as Error;
    if (error instanceof UsageError) return [problem('console', message, 'Without it nobody can sign in.')];
    const why = cause instanceof Error ? `${message}: ${cause.message}` : message;
    const mend = 'Check console.login.oidc.issuer and that the identity provider is up. Until then nobody can sign in.';
    return [away('console', `${oidc.issuer} does not answer as an identity provider: ${why}`, mend)];
  }
}
