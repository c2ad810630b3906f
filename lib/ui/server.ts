/**
 * Serves the page to the browsers of this machine: on the loopback address, to those who know the token in the address.
 *
 * @module
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { InvalidArgumentError } from '../support/errors.js';
import { Feed } from './feed.js';
import type { Source } from './feed.js';
import type { Assets } from './html.js';
import { documentOf } from './html.js';
import { Streams } from './streams.js';

const ADDRESS = '127.0.0.1';
/** The port where none is asked for, or a free one if it is taken. */
export const DEFAULT_PORT = 8017;

/** Limits to what clients can take up. Times are in milliseconds. */
export interface Limits {
  readonly maxHeaderSize: number;
  readonly headersTimeout: number;
  readonly requestTimeout: number;
  readonly keepAliveTimeout: number;
  readonly connectionsCheckingInterval: number;
  readonly maxConnections: number;
}

const LIMITS: Limits = {
  maxHeaderSize: 8192,
  headersTimeout: 5000,
  requestTimeout: 5000,
  keepAliveTimeout: 5000,
  connectionsCheckingInterval: 1000,
  maxConnections: 64,
};
/** How long a connection may be silent; open pages get a beat more often. */
const SILENCE_MS = 30_000;
const MOST_HEADERS = 64;

/** Another page must not reach this one by a name of its own that it lets point here. The port may be that of a tunnel. */
const HOST = /^(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?$/;

const HEADERS = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; " +
    "form-action 'none'; frame-ancestors 'none'",
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'Cache-Control': 'no-store',
} as const;

const PAGE = documentOf('deepzero', '<link rel="stylesheet" href="page.css">', '<script src="page.js"></script>');

export interface PageServer {
  /** `http://127.0.0.1:8017/<token>/` */
  readonly url: string;
  readonly port: number;
  /** Sends open pages what has changed for the last time. */
  finish(): Promise<void>;
  /** Ends all connections at once. */
  close(): void;
}

export interface ServeOptions {
  readonly source: Source;
  readonly assets: Assets;
  /** From 0, which is any free one, to 65535; default: 8017, or a free one if that is taken. */
  readonly port?: number | undefined;
  /** Default: those of a server for people. */
  readonly limits?: Partial<Limits>;
}

/**
 * Serves the page of runs until it is closed.
 *
 * @throws InvalidArgumentError if the port cannot be used.
 */
export async function servePage({ source, assets, port, limits }: ServeOptions): Promise<PageServer> {
  const token = randomBytes(16).toString('base64url');
  const streams = new Streams(new Feed(source));
  const contents: Readonly<Record<string, readonly [type: string, text: string]>> = {
    '': ['text/html; charset=utf-8', PAGE],
    'page.js': ['text/javascript; charset=utf-8', assets.script],
    'page.css': ['text/css; charset=utf-8', assets.style],
  };
  const { maxConnections, ...others } = { ...LIMITS, ...limits };
  const server = createServer(others, (request, response) => {
    const place = placeOf(request, token);
    if (typeof place === 'number') refuse(response, place);
    else if (place === 'events') sendEvents(request, response, streams);
    else if (!Object.hasOwn(contents, place)) refuse(response, 404);
    else send(request, response, contents[place]!);
  });
  server.maxConnections = maxConnections;
  server.maxHeadersCount = MOST_HEADERS;
  // Without it, clients that do not read what they asked for would keep all connections.
  server.setTimeout(SILENCE_MS);
  server.on('clientError', (_, socket) => {
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
    else socket.destroy();
  });
  const listening = await listen(server, port);
  return {
    url: `http://${ADDRESS}:${listening}/${token}/`,
    port: listening,
    finish: async () => streams.finish(),
    close: () => {
      streams.close();
      server.close();
      // The last words to open pages are on their way by then.
      setImmediate(() => {
        server.closeAllConnections();
      });
    },
  };
}

/** The part of the path behind the token, or the status of a refusal. */
function placeOf({ method, url = '', headers }: IncomingMessage, token: string): string | number {
  if (!HOST.test(headers.host ?? '')) return 403;
  if (method !== 'GET' && method !== 'HEAD') return 405;
  if (headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0') return 400;
  const [, given, place] = /^\/([^/]*)\/(.*)$/s.exec(url) ?? [];
  if (given === undefined || place === undefined || !isEqual(given, token)) return 404;
  return place;
}

/** Takes the same time wherever the texts differ. */
function isEqual(given: string, token: string): boolean {
  const [a, b] = [given, token].map((text) => createHash('sha256').update(text).digest());
  return timingSafeEqual(a!, b!);
}

const REASONS: Readonly<Record<number, string>> = {
  400: 'Expected a request without a body.',
  403: 'Expected the address that deepzero printed, which starts with http://127.0.0.1 or http://localhost.',
  404: 'Not found. Expected the address that deepzero printed; it is a new one at every start.',
  405: 'Expected GET or HEAD.',
  503: 'Too many pages are open: close one.',
};

function refuse(response: ServerResponse, status: number): void {
  response.writeHead(status, {
    ...HEADERS,
    'Content-Type': 'text/plain; charset=utf-8',
    Connection: 'close',
    ...(status === 405 && { Allow: 'GET, HEAD' }),
  });
  response.end(`${REASONS[status]!}\n`);
}

function send({ method }: IncomingMessage, response: ServerResponse, [type, text]: readonly [string, string]): void {
  response.writeHead(200, { ...HEADERS, 'Content-Type': type, 'Content-Length': Buffer.byteLength(text) });
  response.end(method === 'HEAD' ? undefined : text);
}

function sendEvents({ method }: IncomingMessage, response: ServerResponse, streams: Streams): void {
  if (method !== 'HEAD' && streams.isFull) {
    refuse(response, 503);
    return;
  }
  response.writeHead(200, { ...HEADERS, 'Content-Type': 'text/event-stream; charset=utf-8' });
  if (method === 'HEAD') response.end();
  else streams.add(response);
}

/** Listens on a port, and returns it. */
async function listen(server: Server, port: number | undefined): Promise<number> {
  try {
    return await listenOn(server, port ?? DEFAULT_PORT);
  } catch (error) {
    if (port === undefined) return await listenOn(server, 0);
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === 'EADDRINUSE' ? 'it is in use' : code === 'EACCES' ? 'only the system may use it' : message;
    throw new InvalidArgumentError((name) => `Expected ${name} to be a free port, received ${port}: ${why}`, {
      option: 'port',
      cause: error,
    });
  }
}

async function listenOn(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, ADDRESS, () => {
      server.off('error', reject);
      // A connection that cannot be accepted, as where files run out, is the client's loss alone.
      server.on('error', () => undefined);
      resolve((server.address() as AddressInfo).port);
    });
  });
}
