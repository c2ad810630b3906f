/**
 * Hands queries to a box, and its answers back: in parallel, within a time, and whatever the box does.
 *
 * @module
 */
import type { Exchange } from '../objectives/exchange.js';
import type { Answer, NoAnswer, Query } from '../objectives/query.js';
import { asAnswer } from '../objectives/query.js';
import { show } from '../support/errors.js';
import { after, givingTurns } from '../support/duration.js';
import type { Box } from './box.js';

/** Seconds that a box has, after its time is up, to say why it did not answer. */
const SAY_WHY = 1;

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
  const answers = await answersWithin(timeout, exchange.signalOf(queries[0]!), box, queries);
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

/** The box's answers: failures soon after the time is up, none when `end` aborts first. */
function answersWithin(
  timeout: number,
  end: AbortSignal,
  box: Box,
  queries: readonly Query[],
): Promise<readonly Answer[] | undefined> {
  const limit = new AbortController();
  return new Promise((resolve) => {
    const settle = (answers: readonly Answer[] | undefined): void => {
      cancel();
      end.removeEventListener('abort', onEnd);
      resolve(answers);
    };
    const onEnd = (): void => {
      limit.abort(end.reason);
      settle(undefined);
    };
    let cancel = after(timeout, () => {
      limit.abort(new Error(`no answer within ${timeout} s`));
      cancel = after(SAY_WHY, () => {
        settle(queries.map(() => late(limit.signal)));
      });
    });
    end.addEventListener('abort', onEnd, { once: true });
    void answersOf(box, queries, limit.signal).then(settle);
  });
}

async function answersOf(box: Box, queries: readonly Query[], limit: AbortSignal): Promise<readonly Answer[]> {
  try {
    const answers = listed(await box.answer(queries, { signal: limit }), queries);
    // A loss that comes too late is none.
    return limit.aborted ? answers.map((answer) => (typeof answer === 'number' ? late(limit) : answer)) : answers;
  } catch (error) {
    const failure = limit.aborted && error === limit.reason ? late(limit) : { failed: textOf(error) };
    return queries.map(() => failure);
  }
}

const late = ({ reason }: AbortSignal): NoAnswer => ({ failed: (reason as Error).message });

const textOf = (error: unknown): string => (error instanceof Error ? `${error.name}: ${error.message}` : show(error));

/** An answer for each query, or failures: which query an answer belongs to is its place alone. */
function listed(answers: unknown, queries: readonly Query[]): Answer[] {
  if (Array.isArray(answers) && answers.length === queries.length) return answers.map(asAnswer);
  const failed = `expected a list of ${queries.length} from the box, received ${show(answers)}`;
  return queries.map(() => ({ failed }));
}
