import * as v from 'valibot';

import type { BlackBoxOptions, Limits } from '../objectives/black-box.js';
import { BlackBox } from '../objectives/black-box.js';
import type { Start } from '../objectives/space.js';
import { abortSignal, expected, integer, isObject, positive } from '../support/schema.js';
import type { Box, LossFunction } from './box.js';
import { functionBox, serve } from './box.js';

export const handingOptions = v.strictObject({
  /** Calls of the loss at a time, an integer >= 1; default: 1, or what a box says. */
  parallel: v.optional(integer(1)),
  /** Seconds that one call of the loss may take, > 0; then the query failed. Default: no limit. */
  timeout: v.optional(positive),
  /** Aborting gives up what is in progress. */
  signal: v.optional(abortSignal),
});
export interface HandingOptions extends v.InferInput<typeof handingOptions> {}

/** A loss as a box: a function, or a box with another number of calls at a time. */
export function asBox(loss: LossFunction | Box, parallel: number | undefined): Box {
  if (typeof loss === 'function') return functionBox(loss, parallel);
  if (!isObject(loss) || typeof loss.answer !== 'function') throw expected('the loss', 'a function or a box', loss);
  if (parallel === undefined) return loss;
  return { ...loss, answer: loss.answer.bind(loss), close: () => loss.close?.(), parallel };
}

/** Does something with a black box whose queries a loss answers. The box is closed in the end. */
export async function withBlackBox<T>(
  loss: LossFunction | Box,
  x0: Start,
  { parallel, timeout = Infinity, signal, ...options }: HandingOptions & BlackBoxOptions,
  limits: Limits,
  use: (blackBox: BlackBox) => Promise<T>,
): Promise<T> {
  const box = asBox(loss, parallel);
  const blackBox = await BlackBox.open(x0, options, limits);
  const used = use(blackBox).finally(() => {
    blackBox.exchange.close();
  });
  try {
    const [result] = await Promise.all([used, serve(blackBox.exchange, box, { timeout, signal })]);
    return result;
  } finally {
    blackBox.close();
    await box.close?.();
  }
}
