import * as v from 'valibot';

import type { BlackBoxOptions, Limits } from '../objectives/black-box.js';
import { BlackBox, RefusedStepError } from '../objectives/black-box.js';
import type { Exchange } from '../objectives/exchange.js';
import type { StartPoint } from '../objectives/space.js';
import { abortSignal, checked, expected, integer, isObject, positive } from '../support/schema.js';
import type { Box, LossFunction } from './box.js';
import { functionBox } from './box.js';
import { serve } from './serve.js';

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
function asBox(loss: LossFunction | Box, parallel: number | undefined): Box {
  if (typeof loss === 'function') return functionBox(loss, parallel === undefined ? {} : { parallel });
  if (!isObject(loss) || typeof loss.answer !== 'function') throw expected('the loss', 'a function or a box', loss);
  return {
    parallel: parallel ?? checked(integer(1), loss.parallel ?? 1, "the box's parallel"),
    batch: checked(integer(1), loss.batch ?? 1, "the box's batch"),
    answer: (queries, context) => loss.answer(queries, context),
    close: () => loss.close?.(),
  };
}

/** Does something with a loss as a box, and closes it in the end. */
export async function withBox<T>(
  loss: LossFunction | Box,
  parallel: number | undefined,
  use: (box: Box) => Promise<T>,
): Promise<T> {
  const box = asBox(loss, parallel);
  try {
    return await use(box);
  } finally {
    await box.close?.();
  }
}

/** Hands the queries of an exchange to a box until there is a result; `close` then closes the exchange. */
export async function servedUntil<T>(
  result: Promise<T>,
  exchange: Exchange,
  box: Box,
  timeout: number,
  close: () => void,
): Promise<T> {
  const served = serve(exchange, box, timeout);
  try {
    return await result;
  } finally {
    close();
    await served;
  }
}

/** Does something with a black box whose queries a loss answers. The box is closed in the end. */
export async function withBlackBox<T>(
  loss: LossFunction | Box,
  x0: StartPoint,
  handing: HandingOptions & BlackBoxOptions,
  limits: Limits,
  use: (blackBox: BlackBox) => Promise<T>,
): Promise<T> {
  const { parallel, timeout = Infinity, signal: _, ...options } = handing;
  return withBox(loss, parallel, async (box) => {
    const blackBox = await BlackBox.open(x0, options, limits);
    const result = use(blackBox).catch((error: unknown) => {
      if (error instanceof RefusedStepError) blackBox.refuse();
      throw error;
    });
    return servedUntil(result, blackBox.exchange, box, timeout, () => {
      blackBox.close();
    });
  });
}
