/**
 * Hands queries to a box, and its answers back: in parallel, within a time, and whatever the box does.
 *
 * @module
 */
import type { Exchange } from '../objectives/exchange.js';
import type { Answer, NoAnswer, Query } from '../objectives/query.js';
import { after, Countdown, givingTurns } from '../support/duration.js';
import { show } from '../support/errors.js';
import type { Box, BoxContext } from './box.js';
import { listed } from './box.js';

/** Seconds that a box has, after its time is up, to say why it did not answer. */
const SAY_WHY = 1;

class TimeoutError extends Error {
  override readonly name = 'TimeoutError';
}

/**
 * Hands the queries of an exchange to a box until the exchange is over. Never throws: where an answer cannot be kept, the exchange
 * fails with the error.
 *
 * @param timeout Seconds that a call of the box may take; then its queries failed.
 */
export async function serve(exchange: Exchange, box: Box, timeout: number): Promise<void> {
  const { parallel = 1, batch = 1 } = box;
  const calls = new Set<Promise<void>>();
  const turn = givingTurns();
  while (!exchange.isOver) {
    const queries = calls.size < parallel ? exchange.ask(batch) : [];
    if (queries.length === 0) {
      await exchange.changed();
    } else {
      const call = handOver(exchange, box, queries, timeout);
      if (parallel === 1) {
        await call;
      } else {
        calls.add(call);
        void call.then(() => {
          calls.delete(call);
          exchange.wake();
        });
      }
    }
    await turn();
  }
  await Promise.all(calls);
}

async function handOver(exchange: Exchange, box: Box, queries: readonly Query[], timeout: number): Promise<void> {
  const lastAttempt = queries.some((query) => exchange.isLastAttempt(query));
  const answers = await answersWithin(timeout, exchange.signalOf(queries[0]!), queries, (context) =>
    answersOf(box, queries, { ...context, lastAttempt }),
  );
  if (!answers) return;
  try {
    for (const [i, { id }] of queries.entries()) {
      // Another answer of the same call may have ended the run.
      if (exchange.expects(id)) exchange.tell(id, answers[i]!);
    }
  } catch (error) {
    exchange.fail(error);
  }
}

/** The answers of a call: failures soon after the time is up, none when `end` aborts first. */
function answersWithin(
  timeout: number,
  end: AbortSignal,
  queries: readonly Query[],
  call: (context: BoxContext) => Promise<readonly Answer[]>,
): Promise<readonly Answer[] | undefined> {
  const limit = new AbortController();
  return new Promise((resolve) => {
    const settle = (answers: readonly Answer[] | undefined): void => {
      countdown.cancel();
      cancel();
      end.removeEventListener('abort', onEnd);
      resolve(answers);
    };
    const onEnd = (): void => {
      limit.abort(end.reason);
      settle(undefined);
    };
    let cancel = (): void => undefined;
    const countdown = new Countdown(timeout, () => {
      limit.abort(new TimeoutError(`no answer within ${timeout} s`));
      cancel = after(SAY_WHY, () => {
        settle(queries.map(() => late(limit.signal)));
      });
    });
    end.addEventListener('abort', onEnd, { once: true });
    const untimed = <T>(wait: Promise<T>): Promise<T> => countdown.without(wait);
    void call({ signal: limit.signal, untimed }).then(settle);
  });
}

async function answersOf(box: Box, queries: readonly Query[], context: BoxContext): Promise<readonly Answer[]> {
  const limit = context.signal;
  try {
    const answers = listed(await box.answer(queries, context), queries);
    // A loss that comes too late is none.
    return limit.aborted ? answers.map((answer) => (typeof answer === 'number' ? late(limit) : answer)) : answers;
  } catch (error) {
    const failure = limit.aborted && error === limit.reason ? late(limit) : { failed: textOf(error) };
    return queries.map(() => failure);
  }
}

const late = ({ reason }: AbortSignal): NoAnswer => ({ failed: (reason as Error).message });

const textOf = (error: unknown): string => (error instanceof Error ? `${error.name}: ${error.message}` : show(error));
