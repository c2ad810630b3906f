/**
 * A loss of which everything is known in closed form: ½θᵀHθ, the mean squared error of (A + B)·x to zero.
 *
 * @module
 */
import assert from 'node:assert/strict';
import type { Batch, Dataset } from '../../lib/data/dataset.js';
import { TensorDataset } from '../../lib/data/dataset.js';
import { Model } from '../../lib/model/model.js';
import { bilinearNetwork, whole } from './tiny.js';

const [INPUTS, OUTPUTS, COUNT] = [3, 2, 5];

/** Parameters of each of the two tensors. */
export const SIZE: number = INPUTS * OUTPUTS;

const images = Float32Array.from({ length: COUNT * INPUTS }, (_, i) => Math.sin(1 + i * i));

/** Hv. */
export function hessianTimes(v: ArrayLike<number>): Float64Array {
  return Float64Array.from(v, (_, at) => {
    const [row, column] = [Math.floor((at % SIZE) / INPUTS), at % INPUTS];
    let sum = 0;
    for (let n = 0; n < COUNT; n++) {
      for (let i = 0; i < INPUTS; i++) {
        const weight = v[row * INPUTS + i]! + v[SIZE + row * INPUTS + i]!;
        sum += weight * images[n * INPUTS + i]! * images[n * INPUTS + column]!;
      }
    }
    return (2 / (COUNT * OUTPUTS)) * sum;
  });
}

/** ½θᵀHθ. */
export function quadraticLoss(theta: ArrayLike<number>): number {
  return hessianTimes(theta).reduce((sum, value, i) => sum + 0.5 * value * theta[i]!, 0);
}

/** The loss's images as a data set; labels only say that all are of one class. */
export function quadraticDataset(): Dataset {
  const shape = [INPUTS, 1, 1] as const;
  const targets = new TensorDataset({ images, shape: [...shape], targets: new Float32Array(COUNT * OUTPUTS) });
  const about = { name: 'quadratic', count: COUNT, shape: [...shape] as [number, number, number] };
  return {
    ...{ ...about, classes: 1, labels: new Uint8Array(COUNT) },
    batch: (indices) => targets.batch(indices),
  };
}

/** A model with that loss at a point, the batch, and there the gradient Hθ and the diagonal of H. */
export function quadratic(theta: (i: number) => number = Math.cos): {
  model: Model;
  batch: Batch;
  gradient: Float64Array;
  diagonal: Float64Array;
} {
  const model = new Model(bilinearNetwork(INPUTS, OUTPUTS), { loss: 'mean-squared-error' });
  model.parameters.set(Float32Array.from({ length: 2 * SIZE }, (_, i) => theta(i)));
  const unit = (at: number): number[] => Array.from({ length: 2 * SIZE }, (_, i) => Number(i === at));
  const diagonal = Float64Array.from({ length: 2 * SIZE }, (_, at) => hessianTimes(unit(at))[at]!);
  return { model, batch: whole(quadraticDataset()), gradient: hessianTimes(model.parameters), diagonal };
}

/** Refuses a vector whose distance from another is more than `tolerance` times the other's length. */
export function assertClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  const scale = Math.hypot(...Array.from(expected));
  const error = Math.hypot(...Array.from(expected, (value, i) => actual[i]! - value));
  assert.ok(error <= tolerance * scale, `relative error ${error / scale}`);
}
