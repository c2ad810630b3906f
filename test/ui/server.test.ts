import assert from 'node:assert/strict';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { servePage } from '../../lib/ui/server.js';
import type { Limits, PageServer } from '../../lib/ui/server.js';
import { MOST_STREAMS } from '../../lib/ui/streams.js';
import type { Message } from '../../lib/ui/protocol.js';
import { exchange, open } from '../helpers/raw-http.js';
import { leavingNothing, until } from '../helpers/resources.js';
import { appendSteps, writeRun } from '../helpers/run-folders.js';
import { withFolder } from '../helpers/tiny.js';

const SECRET = 'top secret 4711';
const assets = { script: 'the script', style: 'the style' };

/** Serves a folder with one run, beside secrets, for the time of an action. */
async function serving(
  action: (server: PageServer, folder: string) => Promise<void>,
  limits: Partial<Limits> = {},
): Promise<void> {
  await withFolder(async (folder) => {
    const runs = join(folder, 'runs');
    await writeRun(join(runs, 'one'), { steps: 5, state: 'finished' });
    await writeFile(join(folder, 'secret.json'), JSON.stringify({ options: { secret: SECRET } }));
    await writeFile(join(runs, 'secret.txt'), SECRET);
    await symlink(folder, join(runs, 'up'));
    await mkdir(join(runs, 'two'));
    await symlink(join(folder, 'secret.json'), join(runs, 'two', 'config.json'));
    await writeFile(join(runs, 'two', 'log.jsonl'), '');
    const server = await servePage({ source: { folder: runs }, assets, port: 0, limits });
    try {
      await action(server, runs);
    } finally {
      server.close();
    }
  });
}

const tokenOf = ({ url }: PageServer): string => new URL(url).pathname.slice(1, -1);

function get(path: string, headers = 'Host: 127.0.0.1\r\n', method = 'GET'): string {
  return `${method} ${path} HTTP/1.1\r\n${headers}Connection: close\r\n\r\n`;
}

/** The messages of a stream of events so far. */
function messagesIn(text: string): Message[] {
  // What comes is in chunks, whose sizes are lines of their own.
  return [...text.replace(/\r\n[0-9a-f]+\r\n/g, '').matchAll(/data: (.*)\n\n/g)].map(
    ([, json]) => JSON.parse(json!) as Message,
  );
}

/** Some two hundred requests of which none may be answered with content. */
function hostileRequests(token: string): (string | Buffer)[] {
  const paths = ['secret.txt', 'runs/secret.txt', 'one/log.jsonl', '../secret.json', 'page.js/..', 'events/', 'page.js?x', ...['__proto__', 'constructor', 'toString', 'hasOwnProperty']]; // prettier-ignore
  const ups = [
    '..',
    '%2e%2e',
    '..%2f..',
    '%2e%2e%2f',
    '..%5c',
    '..\\',
    '%c0%ae%c0%ae',
    '%252e%252e',
    '....//',
    '.%00.',
    '%u002e.',
  ];
  const files = ['etc/passwd', 'secret.json', 'proc/self/environ', 'runs/secret.txt'];
  const places = [
    ...paths,
    ...ups.flatMap((up) => files.map((file) => `${up}/${file}`)),
    ...ups.flatMap((up) => files.map((file) => `${up}/${up}/${up}/${file}`)),
    ...[
      '%00',
      'page.js%00.css',
      '\u0000',
      'page.js\u0000',
      '%',
      '%zz',
      '\u00ff',
      'ä',
      '//',
      '/',
      '%20',
      '%09',
      ';',
      "'",
      '<script>',
    ],
  ];
  const host = 'Host: 127.0.0.1\r\n';
  const wrongTokens = ['', 'x', token.slice(1), `${token}x`, token.toLowerCase(), encodeURI(token).replace(/^./, (c) => `%${c.charCodeAt(0).toString(16)}`), token.replace(/.$/, '\u0000'), 'A'.repeat(22), 'A'.repeat(4000), `./${token}`, `/${token}`]; // prettier-ignore
  const hosts = ['evil.example', '127.0.0.1.evil.example', 'evil.example:127', 'localhost.evil.example', '127.0.0.2', '0.0.0.0', '[::2]', '', '127.0.0.1:999999', 'localhost@evil.example', '127.0.0.1/x', '127.0.0.1, evil', 'LOCALHOST.', 'user:localhost']; // prettier-ignore
  const methods = ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND', 'CONNECT', 'get', 'G\u0000T', ''];
  return [
    ...places.map((place) => get(`/${token}/${place}`)),
    ...files.flatMap((file) => [get(`/${file}`), ...ups.map((up) => get(`/${up}/${file}`))]),
    ...wrongTokens.flatMap((wrong) => [get(`/${wrong}/`), get(`/${wrong}/events`)]),
    ...hosts.map((one) => get(`/${token}/`, `Host: ${one}\r\n`)),
    get(`/${token}/`, ''),
    get(`/${token}/`, 'Host: 127.0.0.1\r\nHost: evil.example\r\n').replace(
      'Host: 127.0.0.1\r\n',
      'Host: evil.example\r\n',
    ),
    ...['http://127.0.0.1', 'http://evil.example', 'file://', 'javascript:'].map((base) => get(`${base}/${token}/`)),
    ...methods.map((method) => get(`/${token}/`, host, method)),
    get(`/${token}/`, `${host}Content-Length: 5\r\n`) + 'abcde',
    get(`/${token}/`, `${host}Transfer-Encoding: chunked\r\n`) + '5\r\nabcde\r\n0\r\n\r\n',
    get(`/${token}/`, `${host}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n`),
    get(`/${token}/`, `${host}Content-Length: -1\r\n`),
    get(`/${token}/`, `${host}X: ${'y'.repeat(20_000)}\r\n`),
    get(`/${'y'.repeat(20_000)}`),
    get(`/${token}/`, `${host}${Array.from({ length: 5000 }, (_, i) => `X${i}: y\r\n`).join('')}`),
    get(`/${token}/`, `${host}X : y\r\n`),
    get(`/${token}/`, `${host}X\u0000: y\r\n`),
    `GET /${token}/ HTTP/0.9\r\n\r\n`,
    `GET /${token}/ HTTP/9.9\r\n${host}\r\n`,
    `GET /${token}/\r\n\r\n`,
    '\r\n'.repeat(50),
    Buffer.alloc(50_000, 0),
    Buffer.from(Array.from({ length: 5000 }, (_, i) => (i * 197) % 256)),
    '\u0016\u0003\u0001\u0002\u0000\u0001\u0000',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  ];
}

describe('the server of the page', function () {
  it('serves the page, its program and its style, with a strict policy', async () => {
    await serving(async (server) => {
      const { url, port } = server;
      assert.match(url, /^http:\/\/127\.0\.0\.1:\d+\/[\w-]{22}\/$/);
      const contents = { '': /<div id="page">/, 'page.js': /^the script$/, 'page.css': /^the style$/ };
      for (const [place, content] of Object.entries(contents)) {
        const response = await fetch(`${url}${place}`);
        assert.equal(response.status, 200);
        assert.match(await response.text(), content);
        assert.match(response.headers.get('content-security-policy') ?? '', /^default-src 'none'; script-src 'self';/);
        assert.equal(response.headers.get('x-content-type-options'), 'nosniff');
        assert.equal(response.headers.get('referrer-policy'), 'no-referrer');
        const head = await fetch(`${url}${place}`, { method: 'HEAD' });
        assert.deepEqual([head.status, await head.text()], [200, '']);
      }
      // Through a tunnel the port is another.
      for (const host of ['localhost', 'localhost:9000', `127.0.0.1:${port}`, '[::1]:1']) {
        assert.match(await exchange(port, get(new URL(url).pathname, `Host: ${host}\r\n`)), /^HTTP\/1\.1 200 /);
      }
    });
  });

  it('answers hostile requests with refusals alone', async () => {
    await serving(async (server) => {
      const requests = hostileRequests(tokenOf(server));
      assert.ok(requests.length >= 200, `${requests.length}`);
      for (const request of requests) {
        const answer = await exchange(server.port, request);
        const shown = JSON.stringify(request.toString('latin1').slice(0, 200));
        assert.match(answer, /^$|^HTTP\/1\.1 4\d\d /, shown);
        for (const content of [SECRET, 'root:', 'the script', 'id="page"', 'data: ', 'DEEPZERO']) {
          assert.ok(!answer.includes(content), shown);
        }
      }
      assert.equal((await fetch(server.url)).status, 200);
    });
  });

  it('sends runs and what changes in them, and nothing of links', async () => {
    await serving(async (server, runs) => {
      const { socket, received, closed } = await open(server.port);
      socket.write(`GET ${new URL(server.url).pathname}events HTTP/1.1\r\nHost: localhost\r\n\r\n`);
      const has = (text: string) => until(() => received().includes(text));
      await has('"totalSteps":4000');
      const [list] = messagesIn(received());
      assert.deepEqual(list?.type === 'runs' && list.runs.map(({ name }) => name).sort(), ['one', 'two']);
      await appendSteps(join(runs, 'one'), 5, 6);
      await has('"steps":6,');
      const changes = messagesIn(received()).at(-1);
      assert.equal(changes?.type === 'run' && changes.series?.from, 4, 'only the new rows are sent');
      await writeRun(join(runs, 'three'), { steps: 1 });
      await has('"name":"three"');
      assert.ok(!received().includes(SECRET));
      server.close();
      await closed;
      assert.ok(received().includes('"type":"end"'));
    });
  });

  it('bounds pages and connections, and drops slow ones', async () => {
    const maxConnections = MOST_STREAMS + 8;
    const limits = { maxConnections, headersTimeout: 1000, requestTimeout: 1000, connectionsCheckingInterval: 50 };
    await serving(async (server) => {
      const path = new URL(server.url).pathname;
      const openPage = async () => {
        const page = await open(server.port);
        page.socket.write(get(`${path}events`));
        return page;
      };
      const pages = await Promise.all(Array.from({ length: MOST_STREAMS }, openPage));
      await until(() => pages.every(({ received }) => received().includes('"type":"run"')));
      assert.match(await exchange(server.port, get(`${path}events`)), /^HTTP\/1\.1 503 /);
      // Many that say nothing, or half of a request: most are refused at once, the others are dropped soon.
      const slow = await Promise.all(Array.from({ length: 200 }, () => open(server.port)));
      for (const [i, { socket }] of slow.entries())
        if (i % 2 === 0) socket.write(`GET ${path} HTTP/1.1\r\nHost: local`);
      const isOpen = slow.map(() => true);
      slow.forEach(({ closed }, i) => void closed.then(() => (isOpen[i] = false)));
      await until(() => isOpen.filter((one) => one).length <= maxConnections);
      assert.ok(
        pages.every(({ socket }) => !socket.destroyed),
        'open pages stay',
      );
      await Promise.all(slow.map(({ closed }) => closed));
      assert.equal((await fetch(server.url)).status, 200);
      for (const { socket } of pages) socket.destroy();
      // A place is free again.
      await until(async () => {
        const { socket, received, closed } = await open(server.port);
        socket.write(get(`${path}events`));
        await Promise.race([closed, until(() => received().includes('"type":"run"'))]);
        socket.destroy();
        return received().includes(' 200 OK');
      });
    }, limits);
  });

  it('keeps little for clients that do not read', async () => {
    await serving(async (server, runs) => {
      await appendSteps(join(runs, 'one'), 5, 3000);
      const path = new URL(server.url).pathname;
      const before = process.memoryUsage().rss;
      const clients = await Promise.all(Array.from({ length: 40 }, () => open(server.port)));
      for (const { socket } of clients) {
        socket.pause();
        socket.write(get(`${path}events`));
        socket.write(`GET ${path}page.js HTTP/1.1\r\nHost: localhost\r\n\r\n`.repeat(5000));
      }
      const { socket, received } = await open(server.port);
      socket.write(get(path));
      await until(() => received().includes('id="page"'));
      assert.ok(process.memoryUsage().rss - before < 2 ** 28);
      for (const client of clients) client.socket.destroy();
    });
  });

  it('leaves nothing when it is closed, also with open pages', async () => {
    await leavingNothing(async () => {
      await serving(async (server) => {
        const { socket, received, closed } = await open(server.port);
        socket.write(get(`${new URL(server.url).pathname}events`));
        await until(() => received().includes('"type":"run"'));
        server.close();
        await closed;
      });
    });
  });

  it('takes another port if its own is taken, but not instead of one that was asked for', async () => {
    await serving(async (server) => {
      const source = { folder: 'runs' };
      await assert.rejects(servePage({ source, assets, port: server.port }), {
        message: `Expected port to be a free port, received ${server.port}: it is in use`,
        option: 'port',
      });
      const [one, other] = [await servePage({ source, assets }), await servePage({ source, assets })];
      assert.notEqual(one.port, other.port);
      assert.notEqual(tokenOf(one), tokenOf(other));
      one.close();
      other.close();
    });
  });
});
