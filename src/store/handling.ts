import { type RawBuilder, sql } from 'kysely';

/** Today, where what is snoozed until a day is concerned. */
const TODAY = sql`(now() at time zone 'UTC')::date`;

/** How a row `h` of table handling stands on a day: what was snoozed until then is open, or somebody's, again. */
export const stateOn = (day: RawBuilder<unknown> = TODAY): RawBuilder<unknown> =>
  sql`case when h.state = 'snoozed' and h.until <= ${day} then case when h.assigned_to is null then 'open' else 'assigned' end else h.state end`;
