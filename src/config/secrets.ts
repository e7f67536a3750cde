import { statSync } from 'node:fs';
import { UsageError } from '../domain/errors.ts';
import type { ConsoleSettings } from './console-shape.ts';
import { readTextFile } from './files.ts';
import type { SftpConfig } from './shape.ts';

/** What a login needs beside the name of the user: a password, or a private key with its passphrase. */
export type Secrets = {
  readonly password: string | null;
  /** Its text, not its path. */
  readonly privateKey: string | null;
  readonly passphrase: string | null;
};

/**
 * Reads the secrets of a server where the settings say they are: only when it is connected to, so that nothing else holds them.
 * @throws UsageError that says what is missing and never shows a secret.
 */
export function secretsOf(sftp: SftpConfig, environment: NodeJS.ProcessEnv = process.env): Secrets {
  const { passwordEnv, passwordFile, privateKeyFile, passphraseEnv } = sftp;
  const login = `${sftp.username}@${sftp.host}`;
  const inVariable = (variable: string, key: string): string =>
    secretIn(environment, variable, `the ${key} of ${login}`);
  return {
    password:
      passwordEnv !== undefined
        ? inVariable(passwordEnv, 'passwordEnv')
        : passwordFile !== undefined
          ? readSecret(passwordFile, `the passwordFile of ${login}`)
          : null,
    privateKey: privateKeyFile === undefined ? null : readKey(privateKeyFile, login),
    passphrase: passphraseEnv === undefined ? null : inVariable(passphraseEnv, 'passphraseEnv'),
  };
}

function secretIn(environment: NodeJS.ProcessEnv, variable: string, what: string): string {
  const value = environment[variable];
  if (value) return value;
  throw new UsageError(`${variable} is not set, but ${what} names it: put the secret into it.`);
}

function readSecret(file: string, what: string): string {
  const name = `${file}, ${what},`;
  const secret = readTextFile(file, name).replace(/\r?\n$/, '');
  if (secret === '') throw new UsageError(`${name} is empty: write the secret into it.`);
  return secret;
}

/**
 * Reads the secret by which the console shows itself to the identity provider.
 * @throws UsageError that says what is missing.
 */
export function clientSecretOf(
  { clientSecretEnv, clientSecretFile }: NonNullable<NonNullable<ConsoleSettings['login']>['oidc']>,
  environment: NodeJS.ProcessEnv = process.env,
): string {
  return clientSecretEnv === undefined
    ? readSecret(clientSecretFile!, 'the clientSecretFile of console.login.oidc')
    : secretIn(environment, clientSecretEnv, 'the clientSecretEnv of console.login.oidc');
}

function readKey(file: string, login: string): string {
  const key = readTextFile(file, `${file}, the privateKeyFile of ${login},`);
  const { mode, uid } = statSync(file);
  // As ssh does it: of a file that belongs to another (a mounted secret, for one) this user cannot change who may read it.
  if (uid === process.getuid?.() && (mode & 0o077) !== 0)
    throw new UsageError(`${file} is a private key that others on this machine can read: run chmod 600 ${file}`);
  return key;
}
