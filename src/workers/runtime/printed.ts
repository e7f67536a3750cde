import type { Readable } from 'node:stream';

/** So much is told of what a parser prints. */
const MOST_PRINTED = 16_384;
/** What comes in pieces is one thing: it is told when nothing more came for so long. */
const QUIET_MS = 200;

/** Tells what is printed to a stream, not line by line: a dozen of them belong together. */
export function tellPrinted(stream: Readable, tell: (text: string) => void): void {
  let printed = '';
  let timer: NodeJS.Timeout | undefined;
  const tellNow = () => {
    clearTimeout(timer);
    const text = printed.trim();
    printed = '';
    if (text !== '') tell(text);
  };
  stream.setEncoding('utf8').on('data', (piece: string) => {
    printed = (printed + piece).slice(0, MOST_PRINTED);
    clearTimeout(timer);
    timer = setTimeout(tellNow, QUIET_MS).unref();
  });
  stream.on('close', tellNow);
}
