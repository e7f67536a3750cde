import { userInfo } from 'node:os';
import type { Options } from '../../config/config.ts';
import type { Actor } from '../../domain/audit.ts';

/** Who calls the command: the name that is given, else the user of this machine, who stands in the audit trail all the same. */
export function actorOf({ as }: Options): Actor {
  const user = userOfMachine();
  return { name: (as ?? user).trim(), via: `command line (${user})` };
}

/** In a container the user may have no name. */
function userOfMachine(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.getuid?.() ?? 'unknown'}`;
  }
}
