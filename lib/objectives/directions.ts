/**
 * Random directions of black boxes, the same as those of networks but for the last bits: entries by Philox4x32-10 and Box–Muller,
 * from a block of their own for every query.
 *
 * @module
 */
import type { Distribution } from '../model/options.js';
import { native } from '../native/addon.js';
import type { Stream } from '../native/random.js';
import { Random } from '../native/random.js';
import type { ParameterTensor } from './objective.js';

/** What determines the directions of an estimate. */
export interface DirectionDraw {
  /** The run's seed. */
  readonly seed: number;
  /** What the directions are for, by name. */
  readonly stream: Stream;
  /** The step. */
  readonly index: number;
  /** Entries of a direction. */
  readonly distribution: Distribution;
  /** Whether each tensor's part has unit length. */
  readonly perTensor: boolean;
}

/** Words between the directions of two queries. */
const APART = 2 ** 34;
/** The largest query whose words a double can count. */
export const MOST_DIRECTIONS = 2 ** 19;

/** Uniform in (0, 1): never 0, whose logarithm is infinite. */
const uniform = (word: number): number => (word + 0.5) * 2 ** -32;

/** The direction of query number `query`, a number for every parameter. */
export function direction(tensors: readonly ParameterTensor[], draw: DirectionDraw, query: number): Float64Array {
  const { seed, stream, index, distribution, perTensor } = draw;
  const last = tensors.at(-1)!;
  const count = last.offset + last.size;
  const words = native.random(seed, Random.streamNumber(stream), index, query * APART, 4 * Math.ceil(count / 4));
  const entries = new Float64Array(words.length);
  if (distribution === 'rademacher') {
    words.forEach((word, i) => {
      entries[i] = word >= 2 ** 31 ? 1 : -1;
    });
  } else {
    for (let i = 0; i < words.length; i += 2) {
      const radius = Math.sqrt(-2 * Math.log(uniform(words[i]!)));
      const angle = 2 * Math.PI * uniform(words[i + 1]!);
      entries[i] = radius * Math.cos(angle);
      entries[i + 1] = radius * Math.sin(angle);
    }
  }
  const drawn = entries.subarray(0, count);
  if (perTensor) {
    for (const { offset, size } of tensors) normalise(drawn.subarray(offset, offset + size));
  } else if (distribution === 'sphere') {
    normalise(drawn);
  }
  return drawn;
}

/** Scales to unit length. */
function normalise(part: Float64Array): void {
  let squares = 0;
  for (const entry of part) squares += entry * entry;
  const factor = 1 / Math.sqrt(squares);
  part.forEach((entry, i) => {
    part[i] = entry * factor;
  });
}
