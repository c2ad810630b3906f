/**
 * What a model's computations take and yield.
 *
 * @module
 */
import type { CallOptions } from '../native/jobs.js';

/** How much of the unperturbed pass a query reuses. */
export type Reuse = 'none' | 'block' | 'layer' | 'incremental';

export const REUSES: readonly Reuse[] = ['none', 'block', 'layer', 'incremental'];

/** A direction moves every layer, so there is no layer or block to restart from. */
export type RandomizedReuse = 'none' | 'incremental';

export const RANDOMIZED_REUSES: readonly RandomizedReuse[] = ['none', 'incremental'];

/** Entries of a random direction: independent standard normal, uniform on the unit sphere, or independent ±1. */
export type Distribution = 'gaussian' | 'sphere' | 'rademacher';

export const DISTRIBUTIONS: readonly Distribution[] = ['gaussian', 'sphere', 'rademacher'];

/** What activations and their gradients are computed in: float32 or float64. Parameters are float32 in both. */
export type Precision = 'single' | 'double';

export const PRECISIONS: readonly Precision[] = ['single', 'double'];

export const CALL_OPTIONS = ['signal', 'onProgress', 'step'] as const;

/** The step of a finite difference and the point it is taken at. */
export interface DifferenceOptions extends CallOptions {
  /** Smoothing parameter μ, > 0. */
  mu: number;
  /** (ℓ(θ + μu) − ℓ(θ − μu)) / 2μ instead of (ℓ(θ + μu) − ℓ(θ)) / μ; default: false. */
  central?: boolean;
  /** The point θ; default: the model's parameters. */
  at?: Float32Array;
}

export interface ReferenceOptions extends DifferenceOptions {
  /** Distinct flat indices into the parameters, in any order. */
  coordinates: Uint32Array;
}

export interface CoordinatewiseOptions extends ReferenceOptions {
  /**
   * How much of the unperturbed pass a query reuses. `incremental` (default) carries only what the perturbation changes,
   * which is fastest and loses no digits to the subtraction of two losses; `layer` restarts at the perturbed layer,
   * `block` at its residual block and `none` at the input, and they subtract: their results are the same bits as each
   * other's.
   */
  reuse?: Reuse;
}

/** Direction i is a pure function of `seed`, `step` (default: 0) and i. */
export interface RandomizedOptions extends DifferenceOptions {
  /** Random directions, from 1 to 2³¹ − 1. */
  queries: number;
  /** Entries of a direction: independent standard normal (default), uniform on the unit sphere, or independent ±1. */
  distribution?: Distribution;
  /** Scales each parameter tensor's part of a direction to unit length; default: false. */
  perTensor?: boolean;
  /** `incremental` (default) carries what the perturbation changes, `none` runs whole passes and subtracts losses. */
  reuse?: RandomizedReuse;
  /** Fixes the directions, with `step`; an integer >= 0, default: 0. */
  seed?: number;
}

export interface GradientOptions extends CallOptions {
  /** float32 (default) to train with, or float64 as the exact gradient that estimates are compared with. */
  precision?: Precision;
  /** Batch norm with the batch's statistics (true, default), through which it is differentiated, or with the running ones. */
  training?: boolean;
  /** The point θ; default: the model's parameters. */
  at?: Float32Array;
}

export interface ForwardOptions extends CallOptions {
  /** Batch norm with the batch's statistics (true) or with the running ones (false, default). */
  training?: boolean;
  /** The point θ; default: the model's parameters. */
  at?: Float32Array;
}

export interface EvaluateOptions extends Omit<CallOptions, 'step'> {
  /** Images at a time, at least 1; default: 256. Memory grows with it. */
  batchSize?: number;
}

/** The unperturbed pass over a batch. */
export interface PassResult {
  /** Mean over the batch. */
  loss: number;
  /** The network's outputs, a row for every image. */
  outputs: Float32Array;
  /** The running statistics as the pass leaves them (momentum 0.1), those it was given when not training. */
  statistics: Float32Array;
}

export interface ForwardResult extends PassResult {
  /** Fraction of the images whose largest output is at their label; absent if the batch has no labels. */
  accuracy?: number;
}

export interface GradientResult extends PassResult {
  /** ∂ℓ/∂θ, one entry per parameter. */
  values: Float64Array;
}

export interface QueryResult extends PassResult {
  /** One entry per coordinate (`coordinatewise`) or per parameter (`randomized`). */
  values: Float64Array;
  /** Loss evaluations, the unperturbed one included. */
  queries: number;
}

export interface ReferenceResult {
  /** Mean over the batch. */
  loss: number;
  /** One entry per coordinate. */
  values: Float64Array;
}

export interface EvaluateResult {
  /** Mean over all images. */
  loss: number;
  /** Fraction of all images; absent if the data set has no labels. */
  accuracy?: number;
  /** Images evaluated. */
  count: number;
}
