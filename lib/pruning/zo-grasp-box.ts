import * as v from 'valibot';

import type { Box, LossFunction } from '../boxes/box.js';
import { handingOptions, withBlackBox } from '../boxes/with-black-box.js';
import type { LayerRatios } from '../estimators/masks.js';
import { blackBoxOptions } from '../objectives/black-box.js';
import type { StartPoint } from '../objectives/space.js';
import { MU } from '../paper.js';
import { fraction, parseOptions, positive, string } from '../support/schema.js';
import { importanceOf, zoGraspImportanceOptions } from './zo-grasp.js';
import { rankedRatios } from './ratios.js';

const { samplesPerClass: _, ...graspEntries } = zoGraspImportanceOptions.entries;

export const zoGraspBoxOptions = v.strictObject({
  ...graspEntries,
  ...v.pick(blackBoxOptions, ['bounds', 'repeats', 'retries', 'mayFail']).entries,
  ...handingOptions.entries,
  /** Smoothing parameter μ, > 0; default: 5e-3. */
  mu: v.optional(positive, MU),
  /** Fraction of all parameters to leave out, in [0, 1). */
  sparsity: fraction,
  /** What all queries share, such as a mini-batch; default: 0. */
  sample: v.optional(v.unknown(), 0),
  /** A file that keeps every answer, as in `minimize`. */
  journal: v.optional(string),
});
/** The options of `zoGraspBox`. */
export interface ZoGraspBoxOptions extends v.InferInput<typeof zoGraspBoxOptions> {}

/**
 * ZO-GraSP, `zoGrasp`, of a loss that only answers: the fraction of coordinates to leave out of each tensor, for the option `ratios`
 * of `cge`. It makes 2·(1 + `queries`) evaluations, times `repeats`.
 *
 * @param loss A function or a box, as in `minimize`.
 * @param x0 The tensors by name, `{ w: [[1, 2], [3, 4]], b: [0, 0] }`. All of them are ranked: a black box has no biases that are
 *   known to be such.
 * @returns A ratio in [0, 1] for every tensor by name.
 * @throws InvalidArgumentError if an option is out of range or unknown, or all scores are 0.
 * @example
 * const ratios = await zoGraspBox(chip, x0, { sparsity: 0.9, queries: 48 });
 * await minimize(chip, x0, { estimator: cge({ mu: 1e-3, ratios }), optimizer: adam({ lr: 0.01 }), budget: { steps: 100 } });
 */
export async function zoGraspBox(
  loss: LossFunction | Box,
  x0: StartPoint,
  options: ZoGraspBoxOptions,
): Promise<LayerRatios> {
  const parsed = parseOptions(zoGraspBoxOptions, options, 'zoGraspBox');
  const { sparsity, sample, journal, onProgress, queries, mu, seed, directions, rank, perTensor, ...handing } = parsed;
  const config = { kind: 'zo-grasp', queries, mu, seed, directions, perTensor };
  const limits = { evaluations: Infinity, journal: journal === undefined ? undefined : { file: journal, config } };
  return withBlackBox(loss, x0, handing, limits, async (box) => {
    const grasp = { queries, mu, seed, directions, rank, perTensor, signal: handing.signal, onProgress };
    const importance = await importanceOf(
      box,
      async (at, index, part, draw) => {
        const call = { at, stream: 'pruning', index } as const;
        return (await box.randomized(sample, { ...draw, step: part, central: false }, call)).values;
      },
      grasp,
    );
    return rankedRatios(box, importance, sparsity);
  });
}
