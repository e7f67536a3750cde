import { type RawBuilder, sql } from 'kysely';
import { stateOn } from '../../store/handling.ts';

type AsOf = { readonly asOf?: string | undefined };

/** Whether a row `h` of table handling says how its discrepancy is, or was, handled at that time. */
export const handlingAt = ({ asOf }: AsOf): RawBuilder<boolean> =>
  asOf === undefined
    ? sql`h.ended_at is null`
    : sql`h.at <= ${asOf}::timestamptz and (h.ended_at is null or h.ended_at > ${asOf}::timestamptz)`;

/** Whether a discrepancy `d` was accepted at that time. */
export const isAcceptedAt = (filter: AsOf): RawBuilder<boolean> =>
  sql`exists (select from handling h where h.discrepancy_no = d.no and h.state = 'accepted' and ${handlingAt(filter)})`;

const isoOf = (time: RawBuilder<unknown>) => sql`to_char(${time} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

/** How a discrepancy is handled, as it is shown: of a row `h` of table handling, null where there is none. */
export const handlingObject = ({ asOf }: AsOf): RawBuilder<unknown> => {
  const day =
    asOf === undefined ? sql`(now() at time zone 'UTC')::date` : sql`(${asOf}::timestamptz at time zone 'UTC')::date`;
  const until = asOf === undefined ? sql`true` : sql`c.at <= ${asOf}::timestamptz`;
  return sql`
    case when h.no is not null then json_build_object(
      'state', ${stateOn(day)}, 'assignedTo', h.assigned_to, 'due', h.due, 'until', case when h.until > ${day} then h.until end, 'reason', h.reason,
      'text', h.text, 'by', h.decided_by, 'at', ${isoOf(sql`h.decided_at`)},
      'comments', coalesce((select json_agg(json_build_object('text', c.said, 'by', c.by, 'at', ${isoOf(sql`c.at`)}) order by c.no)
                              from handling c where c.thread = h.thread and c.action = 'comment' and ${until}), '[]')) end`;
};
