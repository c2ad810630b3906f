/**
 * A server for `httpBox` that answers as a test wants.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { clientLoss } from './clients.js';
import { leavingNothing } from './resources.js';

interface Request {
  readonly bases?: { base: number; x: number[] }[];
  readonly queries: { id: string; base: number; x?: number[]; set?: [number, number][] }[];
}

/** A request, and ways to answer it. */
export interface Call {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly content: Request;
  /** From 1. */
  readonly number: number;
  /** The right answers, by the loss of `clientLoss`. */
  readonly answers: () => object[];
  /** Sends a text, or anything as JSON. */
  readonly send: (content: unknown, status?: number, headers?: Record<string, string>) => unknown;
  /** Sends the right answers. */
  readonly answer: () => unknown;
}

export interface Place {
  readonly url: string;
  /** Requests so far. */
  readonly calls: Call[];
}

async function callOf(request: IncomingMessage, response: ServerResponse, number: number): Promise<Call> {
  let text = '';
  for await (const chunk of request.setEncoding('utf8') as AsyncIterable<string>) text += chunk;
  const content = JSON.parse(text) as Request;
  const answers = (): object[] =>
    content.queries.map(({ id, base, x, set }) => {
      const point = x ?? [...content.bases!.find((known) => known.base === base)!.x];
      for (const [i, value] of set ?? []) point[i] = value;
      return { id, loss: clientLoss(point) };
    });
  const send: Call['send'] = (reply, status = 200, headers = {}) =>
    response.writeHead(status, headers).end(typeof reply === 'string' ? reply : JSON.stringify(reply));
  return { request, response, content, number, answers, send, answer: () => send({ answers: answers() }) };
}

/** Does something with a server, whose connections may not keep this process alive then. */
export async function withServer<T>(handle: (call: Call) => unknown, use: (place: Place) => Promise<T>): Promise<T> {
  const calls: Call[] = [];
  const receive = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const call = await callOf(request, response, calls.length + 1);
    calls.push(call);
    handle(call);
  };
  const server = createServer((request, response) => {
    receive(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    return await leavingNothing(async () => {
      try {
        return await use({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, calls });
      } finally {
        server.closeAllConnections();
      }
    });
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}
