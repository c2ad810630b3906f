/**
 * What processes and servers are sent, and what they answer: the messages of docs/protocol.md.
 *
 * @module
 */
import { Random } from '../native/random.js';
import type { Answer, Query } from '../objectives/query.js';
import { asAnswer } from '../objectives/query.js';
import { isObject } from '../support/schema.js';

/** The version of the protocol. */
export const PROTOCOL = 1;

/** What a query travels as. */
export const SENDS = ['point', 'changes', 'seed'] as const;
export type Send = (typeof SENDS)[number];

/** The longest reason that is kept. */
const MOST_REASON = 1000;

/** Writes queries as plain objects for JSON. */
export class Messages {
  readonly #send: Send;
  /** Of base points, in the order in which they came: those of a box's second run follow those of the first. */
  readonly #numbers = new WeakMap<Float64Array, number>();
  #bases = 0;

  constructor(send: Send) {
    this.#send = send;
  }

  /** What is the same for all queries of a run. */
  greeting({ tensors }: Query): object {
    const shown = tensors.map(({ name, shape, offset, size }) => ({ name, shape, offset, size }));
    return { deepzero: PROTOCOL, send: this.#send, tensors: shown };
  }

  /** The base point with its number, where the query's own message does not have the whole point. Many queries may have the same one. */
  base(query: Query): { base: number; x: number[] } | undefined {
    return this.#isWhole(query) ? undefined : { base: this.#number(query.base), x: Array.from(query.base) };
  }

  query(query: Query): object {
    const { id, step, sample, changes = [], direction } = query;
    const about = { id, step, sample, base: this.#number(query.base) };
    if (this.#isWhole(query)) return { ...about, x: Array.from(query.point()) };
    if (!direction) return { ...about, set: changes };
    const { seed, stream, index, query: number, distribution, perTensor, mu } = direction;
    const drawn = { seed, stream: Random.streamNumber(stream), index, query: number, distribution, perTensor, mu };
    return { ...about, direction: drawn };
  }

  /** A direction changes every entry, and what rounds the point is known here alone. */
  #isWhole({ direction }: Query): boolean {
    if (this.#send === 'point') return true;
    return direction !== undefined && (this.#send === 'changes' || direction.rounded);
  }

  #number(base: Float64Array): number {
    const known = this.#numbers.get(base);
    if (known !== undefined) return known;
    this.#numbers.set(base, this.#bases);
    return this.#bases++;
  }
}

/** Where a text begins, it matches to the end at least: no message makes it look at anything twice. */
const TEXT_OR_NAN = /"(?:[^"\\]+|\\[^])*(?:"|\\?$)|-?\b(?:NaN|Infinity)\b/g;

/** The value of a JSON text, in which Python writes NaN and Infinity: they become texts. */
export function parseMessage(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const quoted = text.replace(TEXT_OR_NAN, (found) => (found.startsWith('"') ? found : `"${found}"`));
    if (quoted === text) throw error;
    return JSON.parse(quoted);
  }
}

/** An answer with its query's id. @throws Error if the message is none. */
export function readAnswer(message: unknown): { id: string; answer: Answer } {
  if (!isObject(message) || typeof message['id'] !== 'string') throw new Error('expected an object with an id');
  const { id, loss, failed, infeasible } = message;
  const given = [loss, failed, infeasible].filter((value) => value !== undefined);
  if (given.length !== 1) throw new Error('expected one of loss, failed and infeasible');
  if (loss !== undefined) return { id, answer: asAnswer(loss) };
  const answer = asAnswer({ failed: shortened(failed), infeasible: shortened(infeasible) });
  return { id, answer };
}

const shortened = (reason: unknown): unknown => (typeof reason === 'string' ? reason.slice(0, MOST_REASON) : reason);
