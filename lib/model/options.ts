/**
 * Options and results of a model's computations.
 *
 * @module
 */
import * as v from 'valibot';

import { callOptions, progressOptions } from '../native/jobs.js';
import { boolean, instance, integer, nonEmpty, oneOf, queryCount, seed, smoothing } from '../support/schema.js';

/** The values of `Reuse`. */
export const REUSES = ['none', 'block', 'layer', 'incremental'] as const;
/**
 * How much of the unperturbed pass a query reuses.
 *
 * @useDeclaredType
 */
export type Reuse = (typeof REUSES)[number];

export const RANDOMIZED_REUSES = ['none', 'incremental'] as const;
/**
 * A direction perturbs every layer, so a query cannot restart at a layer or block.
 *
 * @useDeclaredType
 */
export type RandomizedReuse = (typeof RANDOMIZED_REUSES)[number];

export const DISTRIBUTIONS = ['gaussian', 'sphere', 'rademacher'] as const;
/**
 * Entries of a random direction: independent standard normal, uniform on the unit sphere, or independent ±1.
 *
 * @useDeclaredType
 */
export type Distribution = (typeof DISTRIBUTIONS)[number];

export const PRECISIONS = ['single', 'double'] as const;
/**
 * The precision of activations and their gradients: float32 or float64. Parameters are float32 in both cases.
 *
 * @useDeclaredType
 */
export type Precision = (typeof PRECISIONS)[number];

export const pointOptions = v.strictObject({
  ...callOptions.entries,
  /** The point θ; default: the model's parameters. */
  at: v.optional(instance<Float32Array>(Float32Array, 'a Float32Array as long as the parameters')),
});

export const differenceOptions = v.strictObject({
  ...pointOptions.entries,
  /** Smoothing parameter μ, > 0 in float32. */
  mu: smoothing,
  /** (ℓ(θ + μu) − ℓ(θ − μu)) / 2μ instead of (ℓ(θ + μu) − ℓ(θ)) / μ; default: false. */
  central: v.optional(boolean, false),
});
/** The step μ and the point θ of a finite difference. */
export interface DifferenceOptions extends v.InferInput<typeof differenceOptions> {}

export const referenceOptions = v.strictObject({
  ...differenceOptions.entries,
  /** Distinct flat indices into the parameters, in any order. */
  coordinates: nonEmpty<Uint32Array>(Uint32Array, 'a Uint32Array with at least one flat parameter index'),
});
/** The options of `Model.reference`. */
export interface ReferenceOptions extends v.InferInput<typeof referenceOptions> {}

export const coordinatewiseOptions = v.strictObject({
  ...referenceOptions.entries,
  /**
   * How much of the unperturbed pass a query reuses. `incremental` propagates only the change that the perturbation causes:
   * it is the fastest, and no digits cancel, since it subtracts no losses. `layer` restarts at the perturbed layer, `block` at
   * its residual block and `none` at the input. These three subtract two losses, and their results are bit for bit the same.
   * Default: `incremental`.
   */
  reuse: v.optional(oneOf(REUSES), 'incremental'),
});
/** The options of `Model.coordinatewise`. */
export interface CoordinatewiseOptions extends v.InferInput<typeof coordinatewiseOptions> {}

/** The options of `coordinatewise` that its memory depends on. */
export const memoryOptions = v.pick(coordinatewiseOptions, ['coordinates', 'reuse']);
/** The options of `Model.memoryOf`. */
export interface MemoryOptions extends v.InferInput<typeof memoryOptions> {}

/** The random directions, an option of computations and of estimators alike. */
export const directionOptions = v.strictObject({
  /** Random directions, an integer from 1 to 2³¹ − 1. */
  queries: queryCount,
  /**
   * Entries of a direction: independent standard normal (`gaussian`), uniform on the unit sphere (`sphere`), or independent
   * ±1 (`rademacher`). Default: `gaussian`.
   */
  distribution: v.optional(oneOf(DISTRIBUTIONS), 'gaussian'),
  /** Scales each parameter tensor's part of a direction to unit length, as the public code does; default: false. */
  perTensor: v.optional(boolean, false),
});

export const randomizedReuse = v.optional(oneOf(RANDOMIZED_REUSES), 'incremental');

export const randomizedOptions = v.strictObject({
  ...differenceOptions.entries,
  ...directionOptions.entries,
  /** `incremental` propagates the change that a perturbation causes, `none` runs whole passes and subtracts losses. Default: `incremental`. */
  reuse: randomizedReuse,
  /** Determines the directions, together with `step`; an integer from 0 to 2⁵³ − 1, default: 0. */
  seed: v.optional(seed, 0),
});
/** Direction i is a pure function of `seed`, `step` (0 if there is none) and i. */
export interface RandomizedOptions extends v.InferInput<typeof randomizedOptions> {}

export const gradientOptions = v.strictObject({
  ...pointOptions.entries,
  /** float32 (`single`), for training, or float64 (`double`), as a reference for estimates. Default: `single`. */
  precision: v.optional(oneOf(PRECISIONS), 'single'),
  /** Batch norm with the batch's statistics (true), which are differentiated too, or with the running ones (false); default: true. */
  training: v.optional(boolean, true),
});
/** The options of `Model.gradient`. */
export interface GradientOptions extends v.InferInput<typeof gradientOptions> {}

export const forwardOptions = v.strictObject({
  ...pointOptions.entries,
  /** Batch norm with the batch's statistics (true) or with the running ones (false); default: false. */
  training: v.optional(boolean, false),
});
/** The options of `Model.forward`. */
export interface ForwardOptions extends v.InferInput<typeof forwardOptions> {}

export const evaluateOptions = v.strictObject({
  ...progressOptions.entries,
  /** Images per forward pass, an integer >= 1; default: 256. Memory grows with it. */
  batchSize: v.optional(integer(1), 256),
});
/** The options of `Model.evaluate`. */
export interface EvaluateOptions extends v.InferInput<typeof evaluateOptions> {}

/** The memory that a computation takes. */
export interface MemoryUse {
  /** The threads that it runs on: as many as the model has, or as fit into its bound. */
  threads: number;
  /** Bytes of its buffers on that many threads, and of the copies of the batch and the weights. */
  bytes: number;
}

/** Multiply-adds of convolutions and linear layers, for one image. */
export interface Work {
  /** As they are computed, where Winograd's convolution saves some. */
  done: number;
  /** As if all convolutions were direct. */
  direct: number;
}

/** The work of queries by how much they reuse. */
export type QueryCost = Readonly<Record<Reuse, Work>>;

/** The unperturbed pass over a batch. */
export interface PassResult {
  /** Mean over the batch. */
  loss: number;
  /** The network's outputs, a row for every image. */
  outputs: Float32Array;
  /** The running statistics after the pass (momentum 0.1); unchanged when not training. */
  statistics: Float32Array;
}

/** The result of `Model.forward`. */
export interface ForwardResult extends PassResult {
  /** Fraction of the images whose largest output is that of their label; absent if the batch has no labels. */
  accuracy?: number;
}

/** The result of `Model.gradient`. */
export interface GradientResult extends PassResult {
  /** ∂ℓ/∂θ, one entry per parameter. */
  values: Float64Array;
}

/** The result of `Model.coordinatewise` and `Model.randomized`. */
export interface QueryResult extends PassResult {
  /** Of rollouts: losses that are missing; their entries of `values` are 0 or one-sided. */
  failed?: number;
  /** Of rollouts, where a query has no difference at all: its place in `coordinates`, or the number of its direction. */
  missing?: Uint32Array;
  /** One entry per coordinate (`coordinatewise`) or per parameter (`randomized`). */
  values: Float64Array;
  /** Loss evaluations, including the unperturbed one. */
  queries: number;
}

/** The result of `Model.reference`. */
export interface ReferenceResult {
  /** Mean over the batch. */
  loss: number;
  /** One entry per coordinate. */
  values: Float64Array;
}

/** The result of `Model.evaluate`. */
export interface EvaluateResult {
  /** Mean over all images. */
  loss: number;
  /** Fraction of all images; absent if the data set has no labels. */
  accuracy?: number;
  /** Images evaluated. */
  count: number;
}
