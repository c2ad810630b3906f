import * as v from 'valibot';

import { InvalidArgumentError } from '../support/errors.js';
import { boolean, leaf, parseOptions, smoothing } from '../support/schema.js';
import type { Coordinate } from '../network/coordinates.js';
import type { Batch } from '../data/dataset.js';
import { progressOptions } from '../native/jobs.js';
import type { Model } from '../model/model.js';
import { checkModel } from '../model/problem.js';

export const gradcheckOptions = v.strictObject({
  ...progressOptions.entries,
  /** Smoothing parameter μ, > 0 in float32. */
  mu: smoothing,
  /** Coordinates to check, distinct: by name, or as flat indices into the parameters. */
  coordinates: leaf<readonly Coordinate[] | Uint32Array>(
    'other',
    'a list of coordinates or a Uint32Array',
    (value) => value instanceof Uint32Array || Array.isArray(value),
  ),
  /** Central differences; default: false. */
  central: v.optional(boolean, false),
});
/** The options of `gradcheck`. */
export interface GradcheckOptions extends v.InferInput<typeof gradcheckOptions> {}

/** One coordinate's finite difference, by the engine and by the reference, and its limit as μ → 0. */
export interface GradcheckEntry extends Coordinate {
  /** By the engine. */
  readonly cge: number;
  /** By the reference. */
  readonly reference: number;
  /** ∂ℓ/∂θ by back-propagation in double precision; NaN of a loss of outputs. */
  readonly firstOrder: number;
}

/** The result of `gradcheck`. */
export interface GradcheckResult {
  /** The engine's loss at the parameters. */
  loss: number;
  /** In the order of the coordinates. */
  entries: GradcheckEntry[];
  /** ‖cge − reference‖₂ / ‖reference‖₂. */
  relativeError: number;
  /** ⟨cge, reference⟩ / (‖cge‖₂·‖reference‖₂). */
  cosine: number;
  /** ⟨cge, first order⟩ / (‖cge‖₂·‖first order‖₂): the effect of the estimator's bias. NaN if either is 0 at every coordinate, and of a loss of outputs. */
  firstOrderCosine: number;
}

/**
 * Compares the engine's CGE values with a reference, the same differences in double precision by plain loops: they differ by
 * the engine's rounding. Comparison with the first-order gradient shows the estimator's bias. Batch norm is in training mode.
 * The reference makes a full forward pass for every coordinate and is slow: check tens of coordinates of a large network on
 * tens of images. It subtracts two losses, so its own error is about 1e-16·loss/μ, which matters for μ below about 1e-8.
 *
 * @throws InvalidArgumentError if a coordinate is unknown or occurs twice, `mu` is not > 0, or the reference is 0 at every
 *   coordinate.
 * @example
 * const batch = testSet.batch(Uint32Array.from({ length: 16 }, (_, i) => i));
 * const { relativeError } = await gradcheck(model, batch, { mu: 5e-3, coordinates: [{ name: 'conv1.weight', index: 0 }] });
 */
export async function gradcheck(model: Model, batch: Batch, options: GradcheckOptions): Promise<GradcheckResult> {
  checkModel(model);
  const { mu, coordinates, central, signal, onProgress } = parseOptions(gradcheckOptions, options, 'gradcheck');
  const flat =
    coordinates instanceof Uint32Array
      ? coordinates
      : Uint32Array.from(coordinates, (one) => model.parameterIndex(one));
  const difference = { mu, central, coordinates: flat };
  const engine = await model.coordinatewise(batch, { ...difference, signal });
  const reference = await model.reference(batch, { ...difference, signal, onProgress });
  const [cge, truth] = [engine.values, reference.values];
  if (truth.every((value) => value === 0)) {
    throw new InvalidArgumentError(
      `Expected the loss to depend on a coordinate, received a reference of 0 at all ${truth.length}: take others or more (a bias before a batch norm changes no loss), or a larger mu than ${mu}`,
    );
  }
  const gradient = model.carriesChanges ? await model.gradient(batch, { precision: 'double', signal }) : undefined;
  const firstOrder = Float64Array.from(flat, (index) => gradient?.values[index] ?? NaN);
  return {
    loss: engine.loss,
    entries: Array.from(flat, (index, i) => ({
      ...model.parameterName(index),
      ...{ cge: cge[i]!, reference: truth[i]!, firstOrder: firstOrder[i]! },
    })),
    relativeError: Math.sqrt(dot(minus(cge, truth), minus(cge, truth)) / dot(truth, truth)),
    cosine: cosineSimilarity(cge, truth),
    firstOrderCosine: cosineSimilarity(cge, firstOrder),
  };
}

/** ⟨a, b⟩ / (‖a‖₂·‖b‖₂). */
export function cosineSimilarity(a: Float64Array, b: Float64Array): number {
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

function minus(a: Float64Array, b: Float64Array): Float64Array {
  return a.map((value, i) => value - b[i]!);
}

function dot(a: Float64Array, b: Float64Array): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0);
}
