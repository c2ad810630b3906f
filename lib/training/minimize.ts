import * as v from 'valibot';

import type { Box, LossFunction } from '../boxes/box.js';
import { handingOptions, servedUntil, withBox } from '../boxes/with-black-box.js';
import { parseOptions } from '../support/schema.js';
import type { StartPoint } from '../objectives/space.js';
import { Search } from './search.js';
import type { MinimizeResult } from './search-options.js';
import { searchOptions } from './search-options.js';

export const minimizeOptions = v.strictObject({
  ...searchOptions.entries,
  ...handingOptions.entries,
});
/** The options of `minimize`. */
export interface MinimizeOptions extends v.InferInput<typeof minimizeOptions> {}

/**
 * Minimises a loss that only answers, by the estimators and optimizers of `train`:
 *
 *     θ ← θ − lr·ĝ(θ),   ĝ from losses near θ,
 *
 * in double precision, at most `budget.evaluations` losses in all. Equal options and answers give equal bits, in whatever order
 * and from however many workers the answers come.
 *
 * @param loss A function of a Float64Array, or a box: `workerBox`, `processBox`, `httpBox`, several by `anyBox`, or a custom one.
 * @param x0 A list of numbers, or tensors by name, `{ w: [[1, 2], [3, 4]], b: [0, 0] }`; the loss receives all numbers in order.
 * @returns The point with the lowest loss among those that the run stepped from, its last point included.
 * @throws InvalidArgumentError if an option is out of range or unknown; FileError if the journal is of another run or cannot be
 *   written; RefusedStepError if there is no estimate at x0, as where the loss never answers.
 * @example
 * const { x, loss } = await minimize(([a, b]) => (1 - a) ** 2 + 100 * (b - a * a) ** 2, [-1, 1], {
 *   estimator: cge({ mu: 1e-6, central: true }),
 *   optimizer: adam({ lr: 0.05 }),
 *   budget: { evaluations: 10_000 },
 * });
 */
export async function minimize(
  loss: LossFunction | Box,
  x0: StartPoint,
  options: MinimizeOptions,
): Promise<MinimizeResult> {
  const { parallel, timeout = Infinity, ...rest } = parseOptions(minimizeOptions, options, 'minimize');
  return withBox(loss, parallel, async (box) => {
    const search = await Search.open(x0, rest);
    return servedUntil(search.result, search.exchange, box, timeout, () => {
      search.close();
    });
  });
}
