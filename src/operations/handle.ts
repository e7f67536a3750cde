import { type Database, onOneConnection } from '../adapters/postgres/connection.ts';
import { inTransaction } from '../adapters/postgres/transactions.ts';
import type { Actor } from '../domain/audit.ts';
import { UsageError } from '../domain/errors.ts';
import {
  type Act,
  type ApprovalLimits,
  after,
  type Handling,
  type Mistake,
  mistakesIn,
  nameMistake,
} from '../domain/handling.ts';
import { recordAudit } from '../store/audit.ts';
import * as query from './handle.sql.ts';

/** An action on one discrepancy; `line` is where a file says it. */
export type HandleRequest = {
  readonly no: bigint;
  readonly act: Act;
  readonly line: number | null;
  /** How whoever asks has seen it last: the number of its handling, null where nothing was done; left out: as it is now. */
  readonly seen?: bigint | null;
};

export type HandleContext = {
  readonly database: Database;
  readonly actor: Actor;
  readonly limits: ApprovalLimits;
  /** Whose discrepancies may be handled; null: those of all merchants. */
  readonly merchants: readonly string[] | null;
  readonly now: () => number;
};

export type Handled = { readonly no: bigint; readonly handling: Handling };

/** A mistake of one request. */
export type RequestMistake = Mistake & { readonly no: bigint | null; readonly line: number | null };

/** Nothing was done, because of these mistakes. */
export class HandlingRefused extends UsageError {
  readonly mistakes: readonly RequestMistake[];
  /** Somebody else was faster, and all the rest is right. */
  readonly isConflict: boolean;

  constructor(mistakes: readonly RequestMistake[], isConflict = false) {
    super(sentencesOf(mistakes));
    this.mistakes = mistakes;
    this.isConflict = isConflict;
  }
}

const MOST_TOLD = 1_000;

function sentencesOf(mistakes: readonly RequestMistake[]): string {
  const told = mistakes.slice(0, MOST_TOLD).map(sentenceOf);
  const more = mistakes.length > MOST_TOLD ? [`and ${mistakes.length - MOST_TOLD} more mistakes.`] : [];
  return ['nothing was handled:', ...told, ...more].join('\n');
}

/** `line 3, column text: …`, `line 3: discrepancy 17 …`, `discrepancy 17 …`, `--text: …`. */
function sentenceOf({ line, no, part, message }: RequestMistake): string {
  if (part !== null)
    return `${line === null ? (part === 'action' ? 'action' : `--${part}`) : `line ${line}, column ${part}`}: ${message}.`;
  return `${line === null ? '' : `line ${line}: `}${no === null ? '' : `discrepancy ${no} `}${message}.`;
}

/**
 * Does all that is asked for, or nothing: comments on discrepancies, assigns, snoozes, accepts, approves, rejects and reopens them. Two people
 * at once do it one after the other; who comes second is told when the first changed what he had seen.
 * @throws HandlingRefused with every mistake.
 */
export async function handle(
  context: HandleContext,
  requests: readonly HandleRequest[],
  earlier: readonly RequestMistake[] = [],
): Promise<Handled[]> {
  const { database, actor, now } = context;
  const today = new Date(now()).toISOString().slice(0, 10);
  const wrongs: Refused[] = [
    ...earlier.map((mistake) => ({ mistake, isConflict: false })),
    ...mistakesOfName(actor),
    ...requests.flatMap((request) => mistakesOf(request, today)),
    ...repeated(requests),
  ];
  const lines = new Set(wrongs.map(({ mistake }) => mistake.line));
  const rest = requests.filter(({ line }) => !lines.has(line));
  return onOneConnection(database, async (db) => {
    const nos = rest.map(({ no }) => no);
    const seen = await query.versionsOf(db, nos);
    return inTransaction(db, async () => {
      await query.lockDiscrepancies(db, nos).catch(busy);
      const found = await query.discrepanciesOf(db, nos, context.merchants);
      const decided = rest.map((request) => decide(request, found.get(request.no), seen, context));
      // All mistakes are told at once, those that only the data shows too.
      refuse([...wrongs, ...decided.flatMap((one) => ('mistake' in one ? [one] : []))]);
      const changes = decided.flatMap((one) => ('handling' in one ? [one] : []));
      await query.writeHandling(db, actor, changes);
      await recordAudit(db, actor, changes.map(auditOf));
      return changes.map(({ request, handling }) => ({ no: request.no, handling }));
    });
  });
}

/** A run of a large batch, or somebody with a long file, has them for longer than is waited. */
function busy(error: unknown): never {
  if ((error as { code?: unknown }).code !== '55P03') throw error;
  throw new UsageError('these discrepancies are being changed by a run or another person: try again.');
}

type Refused = { readonly mistake: RequestMistake; readonly isConflict: boolean };

function refuse(refused: readonly Refused[]): void {
  if (refused.length === 0) return;
  // An action on many has one mistake, not one for each.
  const told = new Map(refused.map(({ mistake }) => [sentenceOf(mistake), mistake]));
  throw new HandlingRefused(
    [...told.values()].sort((a, b) => (a.line ?? 0) - (b.line ?? 0)),
    refused.every(({ isConflict }) => isConflict),
  );
}

const wrong = (
  { no, line }: Pick<HandleRequest, 'no' | 'line'>,
  part: Mistake['part'],
  message: string,
  isConflict = false,
): Refused => ({
  mistake: { no, line, part, message },
  isConflict,
});

function mistakesOfName({ name }: Actor): Refused[] {
  const message = nameMistake(name);
  return message === null
    ? []
    : [
        {
          mistake: { no: null, line: null, part: null, message: `the name of who does it (--as) ${message}` },
          isConflict: false,
        },
      ];
}

const mistakesOf = (request: HandleRequest, today: string): Refused[] =>
  mistakesIn(request.act, today).map(({ part, message }) => wrong(request, part, message));

/** Which of two actions is meant to count would be a guess. */
function repeated(requests: readonly HandleRequest[]): Refused[] {
  const firsts = new Map<bigint, HandleRequest>();
  return requests.flatMap((request) => {
    const first = firsts.get(request.no);
    if (first === undefined) firsts.set(request.no, request);
    if (first === undefined) return [];
    return [
      wrong(
        request,
        null,
        first.line === null ? 'is named twice' : `is handled in line ${first.line} already: leave one of them out`,
      ),
    ];
  });
}

type Decided = query.HandlingChange & { readonly request: HandleRequest };

function decide(
  request: HandleRequest,
  found: query.FoundDiscrepancy | undefined,
  seen: ReadonlyMap<bigint, bigint>,
  { actor, limits }: HandleContext,
): Refused | Decided {
  if (found === undefined)
    return wrong(request, null, 'does not exist: use a number that "settlestream discrepancies" shows as no');
  if (found.closedAt !== null) return wrong(request, null, closedText(found));
  const expected = request.seen === undefined ? (seen.get(request.no) ?? null) : request.seen;
  if (found.version !== expected && found.current !== null) {
    const { by, state } = found.current;
    return wrong(request, null, `was changed in the meantime: it is ${state} by ${by}. Look at it again`, true);
  }
  const { current, stake } = found;
  const handling = after(request.act, { current, stake, who: actor.name, limits });
  if ('message' in handling) return wrong(request, handling.part, handling.message);
  return { request, found, handling, action: request.act.action, said: request.act.text };
}

function closedText({ closedAt, reopenedAs }: query.FoundDiscrepancy): string {
  const since = `was closed at ${closedAt!.toISOString()}`;
  return reopenedAs === null
    ? `${since}, because the data no longer shows it`
    : `${since}: it was found with other amounts, or in another place, as discrepancy ${reopenedAs}. Look at that one`;
}

const auditOf = ({ request, found, handling }: Decided) =>
  ({
    what: 'handle',
    subject: `discrepancy ${request.no} (${found.kind}, ${found.batch})`,
    before: found.current,
    after: { action: request.act.action, ...handling },
    reason: request.act.text,
  }) as const;
