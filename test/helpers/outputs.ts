/**
 * Losses of outputs for tests.
 *
 * @module
 */
import assert from 'node:assert/strict';
import type { Batch } from '../../lib/data/dataset.js';
import type { OutputsLoss } from '../../lib/model/losses.js';
import { outputsLoss } from '../../lib/model/losses.js';

/** The mean cross-entropy, as the built-in one defines it. */
export function meanCrossEntropy(outputs: Float64Array, { labels, count }: Batch): number {
  const width = outputs.length / count;
  let sum = 0;
  for (let row = 0; row < count; row++) {
    const scores = outputs.subarray(row * width, (row + 1) * width);
    const largest = scores.reduce((most, score) => Math.max(most, score), -Infinity);
    const exponentials = scores.reduce((total, score) => total + Math.exp(score - largest), 0);
    sum += Math.log(exponentials) + largest - scores[labels![row]!]!;
  }
  return sum / count;
}

export const crossEntropy: OutputsLoss = outputsLoss('our cross-entropy', meanCrossEntropy);

/** ‖actual − expected‖₂ / ‖expected‖₂. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  assert.equal(actual.length, expected.length);
  let [squares, total] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    squares += (actual[i]! - expected[i]!) ** 2;
    total += expected[i]! ** 2;
  }
  return Math.sqrt(squares / total);
}
