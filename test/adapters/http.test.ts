import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { type HttpServer, openHttp } from '../../src/adapters/http.ts';
import { UsageError } from '../../src/domain/errors.ts';

const HOST = '127.0.0.1';

describe('the pages', () => {
  let server: HttpServer;
  let reasons: string[] = [];
  let makeMetrics = async () => 'recon_x 1\n';
  const errors: object[] = [];
  before(async () => {
    const log = { error: (fields: object) => void errors.push(fields) };
    server = await openHttp(
      { host: HOST, port: 0, log },
      {
        metrics: async () => ({ contentType: 'text/plain; version=0.0.4', text: await makeMetrics() }),
        ready: async () => reasons,
      },
    );
  });
  after(() => server.close());

  /** Status and text of a page, and one header. */
  const get = async (path: string, method = 'GET', header = 'content-type') => {
    const response = await fetch(server.url + path, { method });
    return [response.status, await response.text(), response.headers.get(header)];
  };

  test('metrics come as they are made', async () => {
    assert.deepEqual(await get('/metrics'), [200, 'recon_x 1\n', 'text/plain; version=0.0.4']);
    assert.deepEqual(await get('/metrics?name[]=x'), [200, 'recon_x 1\n', 'text/plain; version=0.0.4']);
  });

  test('a process that lives says so', async () => {
    assert.deepEqual(await get('/healthz'), [200, 'ok\n', 'text/plain; charset=utf-8']);
  });

  test('a process is ready when nothing keeps it from working, else every reason is told', async () => {
    assert.equal((await get('/readyz'))[1], 'ready\n');
    reasons = ['database: gone', 'queue: gone'];
    assert.deepEqual((await get('/readyz')).slice(0, 2), [503, 'database: gone\nqueue: gone\n']);
    reasons = [];
    assert.equal((await get('/readyz'))[0], 200);
  });

  test('another page is answered with those that there are', async () => {
    for (const path of ['/', '/metrics/', '/constructor', '//metrics', '/%00']) {
      const [status, text] = await get(path);
      assert.equal(status, 404, path);
      assert.match(String(text), /\/metrics \/healthz \/readyz/);
    }
  });

  test('HEAD is answered like GET, without the text; other methods are refused', async () => {
    assert.deepEqual(await get('/metrics', 'HEAD', 'content-length'), [200, '', '10']);
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
      const [status, , allow] = await get('/metrics', method, 'allow');
      assert.deepEqual([status, allow], [405, 'GET, HEAD'], method);
    }
  });

  test('a page that cannot be made tells the log why, and the next one is made', async () => {
    makeMetrics = async () => {
      throw new Error('a secret');
    };
    const [status, text] = await get('/metrics');
    assert.equal(status, 500);
    assert.doesNotMatch(String(text), /secret/);
    assert.match(JSON.stringify(errors), /a secret/);
    makeMetrics = async () => 'recon_x 2\n';
    assert.equal((await get('/metrics'))[1], 'recon_x 2\n');
  });

  test('no header names what serves the pages', async () => {
    const { headers } = await fetch(`${server.url}/healthz`);
    const names = ['cache-control', 'connection', 'content-length', 'content-type', 'date', 'keep-alive'];
    assert.deepEqual([...headers.keys()].sort(), names);
  });

  test('a client that never ends its request is let go within seconds, and others are served meanwhile', async () => {
    const slow = await connected(server.port);
    slow.write('GET /metrics HTTP/1.1\r\nHost: x\r\n');
    const asked = performance.now();
    const dripping = setInterval(() => slow.write('X-Slow: 1\r\n'), 300);
    slow.on('error', () => {});
    const closed = once(slow.resume(), 'close');
    assert.equal((await get('/healthz'))[0], 200);
    await closed;
    clearInterval(dripping);
    assert.ok(performance.now() - asked < 20_000, `it held the server for ${performance.now() - asked} ms`);
  });
});

const connected = async (port: number): Promise<Socket> => {
  const socket = connect(port, HOST);
  await once(socket, 'connect');
  return socket;
};

const log = { error: () => {} };
const noPages = { metrics: async () => ({ contentType: '', text: '' }), ready: async () => [] };

test('the server closes at once, whoever holds a connection and whatever a page waits for', async () => {
  const { promise: asked, resolve: ask } = Promise.withResolvers<void>();
  const server = await openHttp(
    { host: HOST, port: 0, log },
    {
      ...noPages,
      ready: () => {
        ask();
        return new Promise(() => {});
      },
    },
  );
  const idle = await connected(server.port);
  const half = await connected(server.port);
  half.write('GET /met');
  const waiting = await connected(server.port);
  waiting.write('GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n');
  for (const socket of [idle, half, waiting]) socket.on('error', () => {});
  await asked;
  const began = performance.now();
  await server.close();
  await server.close();
  assert.ok(performance.now() - began < 3_000, `it took ${performance.now() - began} ms`);
  await assert.rejects(fetch(`${server.url}/healthz`));
});

test('a port that another program has is told with what to do', async () => {
  const other = createServer().listen(0, HOST);
  await once(other, 'listening');
  const { port } = other.address() as { port: number };
  await assert.rejects(openHttp({ host: HOST, port, log }, noPages), (error: Error) => {
    assert.ok(error instanceof UsageError);
    assert.equal(
      error.message,
      `cannot listen on 127.0.0.1:${port}: another program uses the port (another settlestream?); choose another one with --http-port, or http.port in the configuration.`,
    );
    return true;
  });
  other.close();
});

test('an address that this machine does not have is told, too', async () => {
  await assert.rejects(openHttp({ host: '192.0.2.1', port: 0, log }, noPages), {
    name: 'UsageError',
    message: /192\.0\.2\.1:0.*no such address.*http\.host/,
  });
});
