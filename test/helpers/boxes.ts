/**
 * Boxes that answer when a test says so, never, or later.
 *
 * @module
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Box, BoxContext, LossFunction } from '../../lib/boxes/box.js';
import { functionBox } from '../../lib/boxes/box.js';
import type { Answer } from '../../lib/objectives/query.js';
import { clientLoss } from './clients.js';
import { queryOf } from './queries.js';

/** A call of a box, which a test answers. */
export interface Call {
  readonly ids: string[];
  readonly signal: AbortSignal;
  readonly answer: (answers: readonly Answer[]) => Promise<unknown>;
  /** Has all its queries fail. */
  readonly fail: () => Promise<unknown>;
}

export interface Manual extends Box {
  readonly calls: Call[];
  closed: number;
}

/** A box that answers when a test says so. */
export function manual(more: Partial<Box> = {}): Manual {
  const calls: Call[] = [];
  return {
    calls,
    closed: 0,
    answer: (queries, { signal }) =>
      new Promise((resolve) => {
        const answer = (answers: readonly Answer[]): Promise<unknown> => {
          resolve(answers);
          return nextTurn();
        };
        const fail = (): Promise<unknown> => answer(queries.map(() => ({ failed: 'dead' })));
        calls.push({ ids: queries.map(({ id }) => id), signal, answer, fail });
      }),
    close() {
      this.closed += 1;
    },
    ...more,
  };
}

/** Calls a box with one query, named by a number; what it answers is of no interest. */
export async function call(box: Box, id: number, context: Partial<BoxContext> = {}): Promise<void> {
  void box.answer([queryOf(`${id}`)], { signal: new AbortController().signal, ...context });
  await nextTurn();
}

/** The queries that boxes have been asked. */
export const idsOf = (...boxes: Manual[]): string[][] => boxes.map(({ calls }) => calls.flatMap(({ ids }) => ids));

/** A box that never has a loss. */
export function dead(parallel = 1): { box: Box; asked: string[] } {
  const asked: string[] = [];
  const answer: Box['answer'] = async (queries) => {
    asked.push(...queries.map(({ id }) => id));
    await nextTurn();
    throw new Error('out of order');
  };
  return { box: { parallel, answer }, asked };
}

/** A function that answers later, and counts its calls. */
export function living(parallel = 1): { box: Box; asked: string[] } {
  const asked: string[] = [];
  const loss: LossFunction = async (x, { id }) => {
    asked.push(id);
    await nextTurn();
    return clientLoss(x);
  };
  return { box: functionBox(loss, { parallel }), asked };
}
