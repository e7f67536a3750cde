import { sql } from 'kysely';

/** What a file of statements `f` says counts: also while it is read once more. */
export const IS_READ = sql`(f.state = 'read' or f.state = 'found' and f.read_at is not null)`;
