import { native } from './addon.js';
import { checked, integer, seed as seedSchema } from '../support/schema.js';

/**
 * The purposes of random numbers. Each purpose has a separate stream, so that drawing more numbers for one never changes
 * another, and a run resumes from (seed, position) alone. The numbers are part of the checkpoint format: append new ones,
 * never change old ones.
 */
const STREAMS = {
  initialisation: 1,
  mask: 2,
  shuffle: 3,
  augmentation: 4,
  directions: 5,
  synthetic: 6,
  samples: 7,
  pruning: 8,
  importance: 9,
  trials: 10,
} as const;

export type Stream = keyof typeof STREAMS;

const CHUNK = 256;

/**
 * Counter-based random numbers: the sequence is a pure function of (seed, stream, index), by
 * Philox4x32-10 (Salmon et al., SC 2011), the same generator that the native estimators use.
 *
 * @example new Random(1, 'shuffle', epoch).shuffle(order)
 */
export class Random {
  readonly #seed: number;
  readonly #stream: number;
  readonly #index: number;
  #chunk: Uint32Array = new Uint32Array(0);
  #position = 0;
  #drawn = 0;

  constructor(seed: number, stream: Stream, index = 0) {
    this.#seed = checked(seedSchema, seed, 'seed');
    this.#stream = STREAMS[stream];
    this.#index = checked(integer(0, 0xffff_ffff), index, 'index');
  }

  /** The stream's number, for native code that draws from the same generator. */
  static streamNumber(stream: Stream): number {
    return STREAMS[stream];
  }

  /** One word of a sequence, without drawing those before it: the result of the (position + 1)-th `uint32()`. */
  static word(seed: number, stream: Stream, index: number, position: number): number {
    return native.random(seed, STREAMS[stream], index, position, 1)[0]!;
  }

  /** A uniform integer in [0, 2³²). */
  uint32(): number {
    if (this.#position === this.#chunk.length) {
      this.#chunk = native.random(this.#seed, this.#stream, this.#index, this.#drawn, CHUNK);
      this.#drawn += CHUNK;
      this.#position = 0;
    }
    return this.#chunk[this.#position++]!;
  }

  /** A uniform number in [0, 1) with 32 random bits. */
  uniform(): number {
    return this.uint32() * 2 ** -32;
  }

  /** A uniform number in [low, high). */
  between(low: number, high: number): number {
    return low + (high - low) * this.uniform();
  }

  /** A uniform integer in [0, bound), with a bias of at most 2⁻³²·bound. */
  integer(bound: number): number {
    return Math.floor(this.uniform() * bound);
  }

  /** A standard normal number (Box–Muller). */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }

  /** Shuffles in place (Fisher–Yates) and returns its argument. */
  shuffle<T extends Uint32Array | Int32Array | unknown[]>(items: T): T {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      const moved = items[i];
      items[i] = items[j];
      items[j] = moved;
    }
    return items;
  }

  /** `count` distinct integers of [0, bound), in increasing order (Floyd's algorithm). */
  sample(bound: number, count: number): Uint32Array {
    const chosen = new Set<number>();
    for (let j = bound - count; j < bound; j++) {
      const candidate = this.integer(j + 1);
      chosen.add(chosen.has(candidate) ? j : candidate);
    }
    return Uint32Array.from(chosen).sort();
  }
}
