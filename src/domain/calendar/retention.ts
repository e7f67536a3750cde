/** So many months after the date of a batch it is dropped; null: never. */
export type Retention = {
  /** The rows of its details. Where something needs them later, they are read again from the archive. */
  readonly rowsMonths: number | null;
  /** What refused rows said, where closed discrepancies quote it. */
  readonly rawTextMonths: number | null;
  /** The copies of its reports as they came. */
  readonly archiveMonths: number | null;
};
