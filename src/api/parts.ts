import type { Database } from '../adapters/postgres/connection.ts';
import type { Site } from '../console/security.ts';
import type { Actor } from '../domain/audit.ts';
import type { ApprovalLimits } from '../domain/handling.ts';
import type { Person } from '../domain/roles.ts';
import type { BatchView } from '../views/batches/batches.sql.ts';
import type { SourceCalendar } from '../views/open-items/open-items.ts';
import type { Change } from '../views/restatements/changes.ts';

export type ReplayAsked = {
  readonly reportNo?: number | undefined;
  readonly batch?: string | undefined;
  readonly report?: string | undefined;
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly merchant?: string | undefined;
  readonly isRefused: boolean;
};

export type Outcome = {
  readonly changes: readonly Change[];
  /** Some report or batch could not be read or reconciled. */
  readonly hasFailed: boolean;
};

/** What takes workers: the same that the commands do, in this process. */
export type Work = {
  replay(asked: ReplayAsked, how: { readonly isDry: boolean; readonly actor: Actor }): Promise<Outcome>;
  withdraw(
    asked: {
      readonly report: string;
      readonly reportNo: number;
      readonly merchant: string;
      readonly reason: string;
    },
    actor: Actor,
  ): Promise<Outcome>;
  confirm(
    asked: {
      readonly entry: string;
      readonly batch: string;
      readonly merchant?: string | undefined;
      readonly currency?: string | undefined;
    },
    actor: Actor,
  ): Promise<{ readonly batches: readonly BatchView[]; readonly isMatched: boolean }>;
};

/** What the API shows and does: `reading` is bounded in time and changes nothing. */
export type ApiParts = {
  readonly reading: Database;
  readonly writing: Database;
  readonly limits: ApprovalLimits;
  readonly calendars: readonly SourceCalendar[];
  /** For days of merchants that have no calendar. */
  readonly timeZone: string;
  readonly work: Work;
  readonly site: Site;
  readonly login: { readonly way: string };
  readonly log: { error(fields: object, message: string): void };
  readonly now: () => number;
};

/** A request that is understood and may be made. */
export type Call<Query, Body> = {
  readonly parts: ApiParts;
  readonly person: Person;
  /** What the address names: a number, or an id. */
  readonly named: string;
  readonly query: Query;
  readonly body: Body;
};

/** One value, or the pieces of a long one. */
export type Answer = object | AsyncGenerator<string>;
