/** What is written is sent; where reading fails the answer breaks off, so that nobody takes a part for the whole. */
export async function* bytesOf(
  pieces: AsyncGenerator<string | Uint8Array>,
  breakOff: () => void,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const piece of pieces) yield typeof piece === 'string' ? new TextEncoder().encode(piece) : piece;
  } catch {
    breakOff();
  }
}

/** Reads the first rows before anything is sent: a question that takes too long is told as such, and is no empty list. */
export async function begun<T>(portions: AsyncGenerator<T>): Promise<AsyncGenerator<T>> {
  const first = await portions.next();
  return (async function* () {
    if (first.done) return;
    yield first.value;
    yield* portions;
  })();
}
