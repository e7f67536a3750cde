/**
 * Does several verbs one after the other in this process, and prints what each said as JSON: a call of its own for each would take
 * longer to start than to answer. Arguments: a JSON array of command lines.
 */
import { main } from '../../src/cli.ts';

export type Said = { readonly args: readonly string[]; readonly code: number; readonly stdout: string };

const write = process.stdout.write.bind(process.stdout);
process.setMaxListeners(0);
process.stdout.setMaxListeners(0);
process.stderr.setMaxListeners(0);
const said: Said[] = [];
for (const args of JSON.parse(process.argv[2]!) as string[][]) {
  let stdout = '';
  process.stdout.write = ((text: string | Uint8Array, ...rest: unknown[]) => {
    stdout += Buffer.from(text as string).toString();
    const done = rest.at(-1);
    if (typeof done === 'function') process.nextTick(done as () => void);
    return true;
  }) as typeof process.stdout.write;
  const code = await main(args, {
    stop: new AbortController().signal,
    demo: () => Promise.reject(new Error('no demo')),
  });
  said.push({ args, code, stdout });
}
write(JSON.stringify(said));
