import { setTimeout as sleep } from 'node:timers/promises';
import * as v from 'valibot';

import type { Answer, Query } from '../objectives/query.js';
import { escaped, InvalidArgumentError, quote } from '../support/errors.js';
import { expected, integer, isObject, leaf, oneOf, parseOptions } from '../support/schema.js';
import { anyBox } from './any-box.js';
import type { Box } from './box.js';
import { Messages, parseMessage, readAnswer, SENDS } from './messages.js';

const token = leaf<string>('string', 'printable characters without spaces', (value) => {
  return typeof value === 'string' && /^[\x21-\x7e]+$/.test(value);
});
const headers = leaf<Readonly<Record<string, string>>>('other', "an object of headers' values by name", (value) => {
  try {
    return isObject(value) && [...new Headers(value as Record<string, string>)].length === Object.keys(value).length;
  } catch {
    return false;
  }
});

export const httpBoxOptions = v.strictObject({
  /** Queries of one request, an integer >= 1; default: 100. */
  batch: v.optional(integer(1), 100),
  /** Requests at a time, to each of several servers; an integer >= 1; default: 1. */
  parallel: v.optional(integer(1), 1),
  /** A secret that every request carries as `Authorization: Bearer …`. Default: none. */
  token: v.optional(token),
  /**
   * Further attempts at a request without a response, or with status 429, 502, 503 or 504, an integer from 0 to 100; default: 5. The
   * first comes after 0.125 to 0.25 s, each next one after twice that, at most 30 s; later where a header `Retry-After` says so.
   */
  retries: v.optional(integer(0, 100), 5),
  /** The largest response in bytes, an integer >= 1; default: 1048576. */
  maxBytes: v.optional(integer(1), 2 ** 20),
  /** Further headers by name. */
  headers: v.optional(headers, {}),
  /**
   * What a query travels as: `point`, all numbers; `changes`, the entries that differ from a base point; `seed`, also directions by
   * their seed. Default: `point`.
   */
  send: v.optional(oneOf(SENDS), 'point'),
});
/** The options of `httpBox`. */
export interface HttpBoxOptions extends v.InferInput<typeof httpBoxOptions> {}

/**
 * A loss that an HTTP server computes: queries are posted in batches as JSON, by docs/protocol.md. examples/clients/server.py is one.
 *
 * Answers belong to queries by their ids. A response that is no list of answers, is too large, or answers what it was not asked, is a
 * failure of all its queries; so are other statuses, and redirects to another origin. A request that is made again without having
 * had a response counts as one evaluation of each of its queries. The timeout of `minimize` is that of a request with all its
 * attempts; node itself gives up where no byte comes for 300 s.
 *
 * Several servers share the queries as the boxes of `anyBox` do.
 *
 * @param url Of scheme `http` or `https`; or a list of at least one such URL, all with the same options.
 * @throws InvalidArgumentError if an option is out of range or unknown.
 * @example
 * const box = httpBox('https://losses.example/v1', { token: process.env.TOKEN, batch: 50, parallel: 4 });
 * const { x, loss } = await minimize(box, x0, { ...options, timeout: 600 });
 *
 * const both = httpBox(['https://red.example/v1', 'https://blue.example/v1'], { retries: 1 });
 */
export function httpBox(url: string | URL | readonly (string | URL)[], options: HttpBoxOptions = {}): Box {
  const parsed = parseOptions(httpBoxOptions, options, 'httpBox');
  const isList = Array.isArray(url);
  const targets = [url].flat().map((one, i) => urlOf(one, isList ? `url[${i}]` : 'url'));
  if (targets.length === 0) throw expected('url', 'a URL or a non-empty list of URLs', url);
  const boxes = targets.map((target) => endpoint(target, parsed));
  return isList ? anyBox(boxes) : boxes[0]!;
}

function endpoint(target: URL, options: v.InferOutput<typeof httpBoxOptions>): Box {
  const { batch, parallel, token, retries, maxBytes, headers, send } = options;
  const messages = new Messages(send);
  const sent = new Headers(headers);
  sent.set('content-type', 'application/json');
  sent.set('accept', 'application/json');
  if (token !== undefined) sent.set('authorization', `Bearer ${token}`);
  return {
    batch,
    parallel,
    async answer(queries, { signal }) {
      try {
        const init = { method: 'POST', headers: sent, body: bodyOf(queries, messages), signal };
        const response = await posted(target, init, retries);
        return matched(queries, contentOf(await textOf(response, maxBytes)));
      } catch (error) {
        signal.throwIfAborted();
        const failed = `${target.origin}: ${escaped(reasonOf(error))}`;
        return queries.map(() => ({ failed }));
      }
    },
  };
}

function urlOf(url: string | URL, what: string): URL {
  const parsed = !Array.isArray(url) && URL.canParse(String(url)) ? new URL(url) : undefined;
  if (!parsed || !/^https?:$/.test(parsed.protocol)) throw expected(what, 'an http or https URL', url);
  if (parsed.username === '' && parsed.password === '') return parsed;
  throw new InvalidArgumentError(
    `Expected ${what} to be without a user name and a password; give a token or a header instead`,
  );
}

/** A request holds all that its queries need, so that any server can answer it. */
function bodyOf(queries: readonly Query[], messages: Messages): string {
  const bases = new Map<number, object>();
  for (const query of queries) {
    const base = messages.base(query);
    if (base) bases.set(base.base, base);
  }
  return JSON.stringify({
    ...messages.greeting(queries[0]!),
    ...(bases.size > 0 && { bases: [...bases.values()] }),
    queries: queries.map((query) => messages.query(query)),
  });
}

/** Statuses of a server, or of what stands before it, that may be better soon. */
const PASSING = [429, 502, 503, 504];
const SHORTEST_MS = 250;
const LONGEST_MS = 30_000;

/** A response with an answer, from one of several attempts. */
async function posted(url: URL, init: RequestInit & { signal: AbortSignal }, retries: number): Promise<Response> {
  for (let attempt = 0; ; attempt++) {
    let problem: string;
    let wait = 0;
    try {
      const response = await followed(url, init);
      if (response.ok) return response;
      problem = await described(response);
      if (!PASSING.includes(response.status)) throw new Refusal(problem);
      wait = 1000 * Math.min(Number(response.headers.get('retry-after')) || 0, LONGEST_MS / 1000);
    } catch (error) {
      if (error instanceof Refusal || codeOf(error) === 'UND_ERR_HEADERS_TIMEOUT') throw error;
      problem = reasonOf(error);
    }
    if (attempt === retries) throw new Error(`${problem}${retries > 0 ? ` (${retries + 1} attempts)` : ''}`);
    const backOff = Math.min(SHORTEST_MS * 2 ** attempt, LONGEST_MS);
    // Many runs that lost their server together do not come back together.
    await sleep(Math.max(wait, backOff * (1 - Math.random() / 2)), undefined, { signal: init.signal });
  }
}

/** A response that another attempt would not better. */
class Refusal extends Error {}

const MOST_REDIRECTS = 5;

/** A response, after redirects within the origin that keep the request. */
async function followed(url: URL, init: RequestInit): Promise<Response> {
  let at = url;
  for (let redirects = 0; redirects <= MOST_REDIRECTS; redirects++) {
    const response = await fetch(at, { ...init, redirect: 'manual' });
    const { status } = response;
    if (![301, 302, 303, 307, 308].includes(status)) return response;
    await response.body?.cancel();
    const location = response.headers.get('location');
    const next = location !== null && URL.canParse(location, at.href) ? new URL(location, at) : undefined;
    if (next?.origin !== url.origin || ![307, 308].includes(status)) {
      const where = next ? `to ${next.origin}${next.pathname}` : 'to nowhere';
      throw new Refusal(`it redirects ${where} with status ${status}; only 307 and 308 within its origin are followed`);
    }
    at = next;
  }
  throw new Refusal(`it redirects more than ${MOST_REDIRECTS} times`);
}

const MOST_DESCRIBED = 1000;

/** The status of a response, and how its text begins. */
async function described(response: Response): Promise<string> {
  const text = await textOf(response, MOST_DESCRIBED).catch(() => '');
  return `status ${response.status} ${response.statusText}${text === '' ? '' : `: ${quote(text)}`}`;
}

/** The text of a response, at most so many bytes. */
async function textOf(response: Response, maxBytes: number): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  let bytes = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    // Leaving the loop ends the connection.
    if (bytes > maxBytes) throw new Error(`the response has more than ${maxBytes} bytes, the option maxBytes`);
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

function contentOf(text: string): unknown {
  try {
    return parseMessage(text);
  } catch {
    throw new Error(`expected the response to be JSON, received ${quote(text)}`);
  }
}

const codeOf = (error: unknown): string | undefined =>
  ((error as Error).cause as NodeJS.ErrnoException | undefined)?.code;

/** What an error says; of node's fetch, what its cause says. */
function reasonOf(error: unknown): string {
  const { message, cause } = error as Error;
  if (!(cause instanceof Error)) return message;
  // Of several addresses that all failed, the message is empty.
  return cause.message === '' ? (codeOf(error) ?? message) : cause.message;
}

/** The answers to queries, by id. */
function matched(queries: readonly Query[], content: unknown): Answer[] {
  const messages = isObject(content) ? content['answers'] : undefined;
  if (!Array.isArray(messages)) throw new Error('expected the response to be { "answers": [ … ] }');
  const answers = new Map<string, Answer>();
  const asked = new Set(queries.map(({ id }) => id));
  for (const message of messages) {
    const { id, answer } = readAnswer(message);
    if (!asked.has(id)) throw new Error(`the response answers ${quote(id)}, which it was not asked`);
    if (answers.has(id)) throw new Error(`the response answers ${quote(id)} twice`);
    answers.set(id, answer);
  }
  return queries.map(({ id }) => answers.get(id) ?? { failed: 'the response has no answer to it' });
}
