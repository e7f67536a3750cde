/** What a listing or a look says of a file. */
export type FileState = {
  readonly sizeBytes: number;
  /** In microseconds since 1970; as fine as the place tells it. */
  readonly modifiedAtMicros: bigint;
};

export type Entry = FileState & {
  readonly name: string;
  readonly isDirectory: boolean;
  /** Neither a file nor a directory, so that it is not looked into; absent where it is one of them. */
  readonly other?: 'link' | 'linkToDirectory' | 'special';
};

/** Where a source's files lie: a folder or an SFTP server. It is only ever read. */
export type SourceFiles = {
  /**
   * What is in a directory. Links are not followed. Null: there is no such directory.
   * @throws Denied when this one cannot be listed; another error when none can.
   */
  entries(directory: string): Promise<Entry[] | null>;
  /** Null: there is no such file. */
  stat(path: string): Promise<FileState | null>;
  /** So many bytes from there on; fewer only where the file ends. */
  read(path: string, offset: number, length: number): Promise<Buffer>;
  /** The file's bytes from `from` to `to` (its end, if not given), in order, block by block. A block may be reused for the next. */
  blocks(path: string, from?: number, to?: number): AsyncGenerator<Buffer>;
  close(): Promise<void>;
};
