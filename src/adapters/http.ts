import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { UsageError } from '../domain/errors.ts';

export type HttpServer = {
  readonly port: number;
  readonly url: string;
  /** Ends what is under way, too. */
  close(): Promise<void>;
};

export type Pages = {
  metrics(): Promise<{ readonly contentType: string; readonly text: string }>;
  /** What keeps the process from working, a line each; nothing when it is ready. */
  ready(): Promise<string[]>;
  /** What is worth saying while it is ready, a line each. */
  notes?(): Promise<string[]>;
};

type Log = { error(fields: object, message: string): void };
type Answer = { readonly status: number; readonly text: string; readonly contentType?: string };

/** Milliseconds in which a client has to say what it wants, and for which a connection may stay silent: no client holds one for long. */
const REQUEST_MS = 5_000;
const SILENCE_MS = 10_000;

/**
 * Serves the pages for machines that watch this process. Port 0 is any that is free.
 * @throws UsageError when the port cannot be had.
 */
export async function openHttp(
  { host, port, log }: { host: string; port: number; log: Log },
  pages: Pages,
): Promise<HttpServer> {
  const answers: Readonly<Record<string, () => Promise<Answer>>> = {
    '/metrics': async () => ({ status: 200, ...(await pages.metrics()) }),
    '/healthz': async () => ({ status: 200, text: 'ok\n' }),
    '/readyz': async () => {
      const reasons = await pages.ready();
      if (reasons.length > 0) return { status: 503, text: `${reasons.join('\n')}\n` };
      return { status: 200, text: `${['ready', ...((await pages.notes?.()) ?? [])].join('\n')}\n` };
    },
  };
  const notFound = { status: 404, text: `There is no such page. Pages: ${Object.keys(answers).join(' ')}\n` };
  const server = createServer(
    {
      headersTimeout: REQUEST_MS,
      requestTimeout: REQUEST_MS,
      keepAliveTimeout: REQUEST_MS,
      connectionsCheckingInterval: 1_000,
    },
    async (request, response) => {
      const path = request.url?.split('?')[0] ?? '/';
      if (request.method !== 'GET' && request.method !== 'HEAD') return refuseMethod(request, response);
      try {
        const page = Object.hasOwn(answers, path) ? answers[path] : undefined;
        send(response, page ? await page() : notFound);
      } catch (error) {
        log.error({ path, error: (error as Error).stack }, 'a page failed');
        send(response, { status: 500, text: 'This page failed. See the log.\n' });
      }
    },
  );
  server.setTimeout(SILENCE_MS);
  server.maxConnections = 256;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(cannotListen(error, nameOf(host, port))));
    server.listen(port, host, resolve);
  });
  const taken = (server.address() as AddressInfo).port;
  return {
    port: taken,
    url: `http://${nameOf(host, taken)}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function send(response: ServerResponse, { status, text, contentType = 'text/plain; charset=utf-8' }: Answer): void {
  const length = Buffer.byteLength(text);
  // Node leaves the body of an answer to HEAD out by itself.
  response
    .writeHead(status, { 'content-type': contentType, 'content-length': length, 'cache-control': 'no-store' })
    .end(text);
}

/** Whatever the request carries is not read: the connection ends with the answer. */
function refuseMethod(request: IncomingMessage, response: ServerResponse): void {
  response.setHeader('allow', 'GET, HEAD').setHeader('connection', 'close');
  send(response, { status: 405, text: `${request.method} is not allowed: use GET or HEAD.\n` });
}

const nameOf = (host: string, port: number): string => `${host.includes(':') ? `[${host}]` : host}:${port}`;

function cannotListen({ code, message }: NodeJS.ErrnoException, name: string): UsageError {
  const why: Readonly<Record<string, string>> = {
    EADDRINUSE: 'another program uses the port (another settlestream?); choose another one',
    EACCES: 'this user may not use the port; choose one above 1023',
    EADDRNOTAVAIL: 'this machine has no such address; change http.host in the configuration, or choose another port',
  };
  const reason = why[code ?? ''] ?? `${message}; choose another port`;
  return new UsageError(`cannot listen on ${name}: ${reason} with --http-port, or http.port in the configuration.`);
}
