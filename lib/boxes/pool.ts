/**
 * Queries shared out among workers or processes, each of which may die.
 *
 * @module
 */
import type { Answer, Query } from '../objectives/query.js';
import type { Box } from './box.js';

/** Answers one query at a time. */
export interface Responder {
  /** Whether it has ended, and must be replaced. */
  readonly isOver: boolean;
  /** Where it dies, or the signal aborts, the answer is a failure that says why. */
  ask(query: Query, signal: AbortSignal): Promise<Answer>;
  /** Ends it, and waits until it has. */
  end(): Promise<void>;
}

/** A box of responders, which start when there is a query for them. After it was closed, it starts others. */
export function poolBox(parallel: number, start: () => Responder): Box {
  const all = new Set<Responder>();
  let idle: Responder[] = [];
  const begin = (): Responder => {
    const responder = start();
    all.add(responder);
    return responder;
  };
  /** It may have ended unasked, or be on its way to its end. */
  const drop = (responder: Responder): void => {
    void responder.end().finally(() => all.delete(responder));
  };
  const take = (): Responder => {
    for (let responder = idle.pop(); responder; responder = idle.pop()) {
      if (!responder.isOver) return responder;
      drop(responder);
    }
    return begin();
  };
  return {
    parallel,
    async answer(queries, { signal }) {
      const answers: Answer[] = [];
      for (const query of queries) {
        const responder = take();
        try {
          answers.push(await responder.ask(query, signal));
        } finally {
          if (responder.isOver) drop(responder);
          else idle.push(responder);
        }
      }
      return answers;
    },
    async close() {
      idle = [];
      await Promise.all([...all].map((responder) => responder.end()));
      all.clear();
    },
  };
}
