/** What a file system says that is full, broken, or not there: nothing of it is about the one file that was asked for. */
const DISK_AWAY =
  /^(ENOSPC|EDQUOT|EFBIG|EROFS|EIO|ENXIO|ENODEV|ESTALE|ENOTCONN|EHOSTDOWN|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|ECONNRESET|EREMOTEIO)$/;

/** The disk, and not the file, is why this failed. */
export const isDiskAway = (error: unknown): error is NodeJS.ErrnoException =>
  error instanceof Error && DISK_AWAY.test((error as NodeJS.ErrnoException).code ?? '');

export const isNoRoom = ({ code }: NodeJS.ErrnoException): boolean => /^(ENOSPC|EDQUOT|EFBIG)$/.test(code ?? '');
