/** So long a test waits for a fact before it fails: for what never comes, and not for a slow machine. */
export const PATIENCE_MS = 180_000;
