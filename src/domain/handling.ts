import { SYSTEM } from './audit.ts';
import { isDay } from './calendar/time.ts';
import type { Money } from './money/money.ts';

/** What a person can do about a discrepancy. */
export const ACTIONS = ['comment', 'assign', 'snooze', 'accept', 'approve', 'reject', 'reopen'] as const;
export type HandlingAction = (typeof ACTIONS)[number];

/** Also what runs do: the discrepancy is found in another place, with other amounts, not any more, or again. */
export type HandlingStep = HandlingAction | 'kept' | 'lapsed' | 'ended' | 'returned';

export const STATES = ['open', 'assigned', 'snoozed', 'pendingApproval', 'accepted'] as const;
export type HandlingState = (typeof STATES)[number];

/** Why a discrepancy is accepted. */
export const REASONS = ['timing', 'rounding', 'provider_claim', 'booked', 'written_off', 'other'] as const;
export type AcceptReason = (typeof REASONS)[number];

/** How a discrepancy is handled. `text`, `by`: of the action that put it into this state. */
export type Handling = {
  readonly state: HandlingState;
  readonly assignedTo: string | null;
  /** By when it is to be done. */
  readonly due: string | null;
  /** The day on which what is snoozed is open again. */
  readonly until: string | null;
  readonly reason: AcceptReason | null;
  readonly text: string | null;
  readonly by: string;
};

/** An action as it was written; a blank is null. */
export type Act = {
  readonly action: string;
  readonly reason: string | null;
  readonly text: string | null;
  readonly to: string | null;
  readonly until: string | null;
};

/** What is wrong with an action, and in which of its parts; null: with all of it. */
export type Mistake = { readonly part: keyof Act | null; readonly message: string };

/** What may be accepted by one person alone, by currency, in minor units. Without a limit, everything. */
export type ApprovalLimits = Readonly<Partial<Record<string, bigint>>>;

export type Situation = {
  /** Null: nothing was done yet. */
  readonly current: Handling | null;
  /** Money in question; null if nobody knows any. */
  readonly stake: Money | null;
  readonly who: string;
  readonly limits: ApprovalLimits;
};

const SNOOZE_DAYS = 90;
const MOST_CHARACTERS = 2_000;
const MOST_CHARACTERS_OF_NAME = 100;

/** Which parts an action may have. */
const PARTS: Readonly<Record<HandlingAction, readonly (keyof Act)[]>> = {
  comment: ['text'],
  assign: ['to', 'until', 'text'],
  snooze: ['until', 'text'],
  accept: ['reason', 'text'],
  approve: ['text'],
  reject: ['text'],
  reopen: ['text'],
};

const isOneOf = <T extends string>(known: readonly T[], text: string | null): text is T =>
  text !== null && (known as readonly string[]).includes(text);

/** Returns what is wrong with an action by itself, whatever it is about. `today` is a day. */
export function mistakesIn(act: Act, today: string): Mistake[] {
  const { action } = act;
  if (!isOneOf(ACTIONS, action))
    return [{ part: 'action', message: `${action} is no action; use one of ${ACTIONS.join(', ')}` }];
  const surplus = (['reason', 'text', 'to', 'until'] as const)
    .filter((part) => act[part] !== null && !PARTS[action].includes(part))
    .map((part) => ({ part, message: `does not belong to ${action}: leave it out` }));
  return [...surplus, ...textMistakes(act, action), ...reasonMistakes(act, action), ...dayMistakes(act, action, today)];
}

function textMistakes({ text, to }: Act, action: HandlingAction): Mistake[] {
  const wrong = text === null ? missingText(action) : badText(text);
  const name = action === 'assign' && to !== null ? nameMistake(to) : null;
  return [
    ...(wrong === null ? [] : [{ part: 'text', message: wrong } as const]),
    ...(name === null ? [] : [{ part: 'to', message: name } as const]),
  ];
}

const missingText = (action: HandlingAction): string | null =>
  action === 'comment' || action === 'accept' ? `is missing: ${action} needs a text` : null;

function badText(text: string): string | null {
  if (text.length > MOST_CHARACTERS) return `has more than ${MOST_CHARACTERS} characters: shorten it`;
  const isPlain = text.isWellFormed() && !/\p{Cc}/u.test(text.replaceAll(/[\t\r\n]/g, ''));
  return isPlain ? null : 'contains a control character: remove it';
}

function reasonMistakes({ reason }: Act, action: HandlingAction): Mistake[] {
  if (action !== 'accept' || isOneOf(REASONS, reason)) return [];
  const what = reason === null ? 'is missing' : `${reason} is no reason`;
  return [{ part: 'reason', message: `${what}; use one of ${REASONS.join(', ')}` }];
}

function dayMistakes({ until }: Act, action: HandlingAction, today: string): Mistake[] {
  const mistake = (message: string): Mistake[] => [{ part: 'until', message }];
  if (!PARTS[action].includes('until')) return [];
  if (until === null) return action === 'snooze' ? mistake('is missing: say until which day (YYYY-MM-DD)') : [];
  if (!isDay(until)) return mistake(`${until} is not a day: use YYYY-MM-DD`);
  if (action === 'assign') return until < today ? mistake(`${until} has passed: use today or a later day`) : [];
  const last = dayAfter(today, SNOOZE_DAYS);
  if (until > today && until <= last) return [];
  return mistake(`${until} is not from ${dayAfter(today, 1)} to ${last}: snooze for at most ${SNOOZE_DAYS} days`);
}

const dayAfter = (day: string, days: number): string =>
  new Date(Date.parse(day) + days * 86_400_000).toISOString().slice(0, 10);

/** Returns why a text cannot be the name of a person; null if it can. */
export function nameMistake(name: string): string | null {
  if (name.trim() === '' || /\p{Cc}/u.test(name) || !name.isWellFormed())
    return 'is empty, or contains a control character: write a name';
  if (name.length > MOST_CHARACTERS_OF_NAME) return `has more than ${MOST_CHARACTERS_OF_NAME} characters: shorten it`;
  return isSamePerson(name, SYSTEM) ? `${name} is the program itself: write the name of a person` : null;
}

/** Whether two names are those of one person: however they are written. */
const isSamePerson = (a: string, b: string): boolean => written(a) === written(b);
const written = (name: string): string =>
  name
    .normalize('NFKC')
    .replaceAll(/\p{Cf}/gu, '')
    .trim()
    .replaceAll(/\s+/g, ' ')
    .toLowerCase();

/** Returns how a discrepancy stands after an action that has no mistake in itself, or why it cannot be done. */
export function after(act: Act, situation: Situation): Handling | Mistake {
  const before = situation.current ?? { ...NOTHING_DONE, by: situation.who };
  const refused = refusalOf(act.action as HandlingAction, before, situation.who);
  if (refused !== null) return { part: null, message: refused };
  return { ...before, ...changesOf(act, before, situation) };
}

const NOTHING_DONE: Omit<Handling, 'by'> = {
  state: 'open',
  assignedTo: null,
  due: null,
  until: null,
  reason: null,
  text: null,
};

function refusalOf(action: HandlingAction, { state, by }: Handling, who: string): string | null {
  const isDone = state === 'accepted' || state === 'pendingApproval';
  const how = state === 'accepted' ? `was accepted by ${by}` : `waits for approval since ${by} accepted it`;
  switch (action) {
    case 'assign':
      return state === 'accepted' ? `${how}: reopen it before you assign it` : null;
    case 'snooze':
    case 'accept':
      return isDone ? `${how}: reopen it first` : null;
    case 'approve':
      if (state !== 'pendingApproval')
        return state === 'accepted' ? `${how}: there is nothing to approve` : 'does not wait for approval: accept it';
      return isSamePerson(by, who) ? `was accepted by ${by}: another person must approve it` : null;
    case 'reject':
      return state === 'pendingApproval' ? null : 'does not wait for approval: there is nothing to reject';
    case 'reopen':
      return state === 'open' || state === 'assigned' ? 'is open already' : null;
    default:
      return null;
  }
}

function changesOf(act: Act, before: Handling, { stake, who, limits }: Situation): Partial<Handling> {
  const { text } = act;
  const unhandled = {
    state: before.assignedTo === null ? 'open' : 'assigned',
    until: null,
    reason: null,
    text,
    by: who,
  } as const;
  switch (act.action as HandlingAction) {
    case 'comment':
      return before.state === 'open' ? { text, by: who } : {};
    case 'assign':
      return assigned(act, before, who);
    case 'snooze':
      return { state: 'snoozed', until: act.until, reason: null, text, by: who };
    case 'accept':
      return {
        state: needsApproval(stake, limits) ? 'pendingApproval' : 'accepted',
        reason: act.reason as AcceptReason,
        until: null,
        text,
        by: who,
      };
    case 'approve':
      return { state: 'accepted', by: who };
    default:
      return unhandled;
  }
}

/** Who it is assigned to changes nothing of what is snoozed, or waits for approval. */
function assigned({ to, until, text }: Act, { state }: Handling, who: string): Partial<Handling> {
  const whose = { assignedTo: to, due: to === null ? null : until };
  if (state === 'snoozed' || state === 'pendingApproval') return whose;
  return { ...whose, state: to === null ? 'open' : 'assigned', text, by: who };
}

/** More than one person alone may accept. */
function needsApproval(stake: Money | null, limits: ApprovalLimits): boolean {
  const limit = stake === null ? undefined : limits[stake.currency];
  return limit !== undefined && stake!.amountMinor > limit;
}
