/**
 * What answers queries: the contract of transports, and plain functions.
 *
 * @module
 */
import { setImmediate as nextTurn } from 'node:timers/promises';

import type { Exchange } from '../objectives/exchange.js';
import type { Answer, Query } from '../objectives/query.js';
import { asAnswer } from '../objectives/query.js';

/** Answers queries. A custom one can be given wherever a function can. */
export interface Box {
  /** Calls of `answer` at a time, an integer >= 1; default: 1. */
  readonly parallel?: number;
  /** Queries of one call, an integer >= 1; default: 1. */
  readonly batch?: number;
  /**
   * An answer for each query, in their order: a loss, `{ failed: reason }` or `{ infeasible: reason }`. If it throws, all of them
   * failed. When `signal` aborts, nobody waits for the answers any more.
   */
  answer(queries: readonly Query[], context: { signal: AbortSignal }): Promise<readonly Answer[]>;
  /** Ends processes and connections. */
  close?(): Promise<void> | void;
}

/** What a function is told beside the point. */
export interface LossContext {
  /** The query's id, its step and the sample of the step. */
  readonly id: string;
  readonly step: number;
  readonly sample: unknown;
  /** Aborts when nobody waits for the loss any more. */
  readonly signal: AbortSignal;
}

/** A loss at a point: a number, or `{ failed }` or `{ infeasible }` with a reason. An exception is a failure. */
export type LossFunction = (x: Float64Array, context: LossContext) => Answer | Promise<Answer>;

/** A function as a box. */
export function functionBox(loss: LossFunction, parallel = 1): Box {
  return {
    parallel,
    async answer(queries, { signal }) {
      const answers: Answer[] = [];
      for (const query of queries) {
        const { id, step, sample } = query;
        answers.push(asAnswer(await loss(query.point(), { id, step, sample, signal })));
      }
      return answers;
    },
  };
}

/** How queries are handed to a box. */
export interface Handing {
  /** Seconds that a call may take; then its queries failed. */
  readonly timeout: number;
  readonly signal: AbortSignal | undefined;
}

/** Milliseconds after which other work of the process has a turn. */
const TURN_MS = 20;

/**
 * Hands the queries of an exchange to a box until the exchange is over.
 *
 * @throws What the exchange throws where an answer cannot be kept.
 */
export async function serve(exchange: Exchange, box: Box, { timeout, signal }: Handing): Promise<void> {
  const { parallel = 1, batch = 1 } = box;
  const calls = new Set<Promise<void>>();
  let turn = performance.now();
  let problem: { error: unknown } | undefined;
  while (!exchange.isOver) {
    const queries = calls.size < parallel ? exchange.ask(batch) : [];
    if (queries.length === 0) {
      await Promise.race([exchange.changed(), ...calls]);
    } else {
      const call = handOver(exchange, box, queries, timeout, signal).catch((error: unknown) => {
        problem ??= { error };
        exchange.fail(error);
      });
      calls.add(call);
      void call.then(() => calls.delete(call));
      if (parallel === 1) await call;
    }
    if (performance.now() - turn > TURN_MS) {
      await nextTurn();
      turn = performance.now();
    }
  }
  if (problem) throw problem.error;
}

async function handOver(
  exchange: Exchange,
  box: Box,
  queries: readonly Query[],
  timeout: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const limit = new AbortController();
  const stop = (): void => {
    limit.abort(signal?.reason);
  };
  signal?.addEventListener('abort', stop, { once: true });
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<readonly Answer[]>((resolve) => {
    if (timeout === Infinity) return;
    timer = setTimeout(() => {
      limit.abort(new Error(`no answer within ${timeout} s`));
      resolve(queries.map(() => ({ failed: `no answer within ${timeout} s` })));
    }, 1000 * timeout);
  });
  const answered = answersOf(box, queries, limit.signal);
  try {
    const answers = await (timeout === Infinity ? answered : Promise.race([answered, late]));
    for (const [i, { id }] of queries.entries()) {
      // Without the step that asked, nobody needs the answer.
      if (exchange.expects(id)) exchange.tell(id, answers[i]!);
    }
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop);
  }
}

/** The box's answers; failures where it throws or does not answer each query. */
async function answersOf(box: Box, queries: readonly Query[], signal: AbortSignal): Promise<readonly Answer[]> {
  try {
    const answers = await box.answer(queries, { signal });
    return queries.map((_, i) => asAnswer(answers[i]));
  } catch (error) {
    const failed = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    return queries.map(() => ({ failed }));
  }
}
