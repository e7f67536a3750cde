/** How long something is overdue, as it is grouped: in days since it was due. */
export const AGES = ['not due', '0-1', '2-7', '8-30', 'over 30', 'no due time'] as const;
export type Age = (typeof AGES)[number];

const DAY_MS = 86_400_000;

/** Whole days since it was due; null before, and where nothing says when it is. */
export const overdueDays = (dueAtMs: number | null, nowMs: number): number | null =>
  dueAtMs === null || nowMs < dueAtMs ? null : Math.floor((nowMs - dueAtMs) / DAY_MS);

export function ageOf(dueAtMs: number | null, nowMs: number): Age {
  if (dueAtMs === null) return 'no due time';
  const days = overdueDays(dueAtMs, nowMs);
  if (days === null) return 'not due';
  return days <= 1 ? '0-1' : days <= 7 ? '2-7' : days <= 30 ? '8-30' : 'over 30';
}
