/**
 * Parts of reference trajectories as a data set for rollouts.
 *
 * @module
 */
import type { Batch, Dataset } from 'deepzero';

import { ITEM, itemOf, STATE, VELOCITIES, WIDTH } from '../../bench/support/wake.js';
import type { References } from './references.js';

/** What velocities and Reynolds numbers are divided by, so that a network sees numbers of about 1. */
export interface Deviations {
  readonly along: number;
  readonly across: number;
  readonly reynolds: number;
}

function deviationOf(count: number, sum: number, squares: number): number {
  // To six digits, so that a text holds them exactly.
  return Number(Math.sqrt(squares / count - (sum / count) ** 2).toPrecision(6));
}

/** Standard deviations over all trajectories, frames and faces. */
export function deviationsOf(references: References): Deviations {
  const over = (from: number, to: number): number => {
    let [sum, squares] = [0, 0];
    for (let i = 0; i < references.reynolds.length; i++) {
      for (let frame = 0; frame < references.frames; frame++) {
        const values = references.frame(i, frame);
        for (let at = from; at < to; at++) {
          sum += values[at]!;
          squares += values[at]! ** 2;
        }
      }
    }
    return deviationOf(references.reynolds.length * references.frames * (to - from), sum, squares);
  };
  const { reynolds } = references;
  const [sum, squares] = [1, 2].map((power) => reynolds.reduce((total, value) => total + value ** power, 0));
  return {
    along: over(0, VELOCITIES[0]),
    across: over(VELOCITIES[0], WIDTH),
    reynolds: deviationOf(reynolds.length, sum!, squares!),
  };
}

/** What a rollout is measured by: velocities over their deviations; or these, drag and lift. */
export type Measured = 'velocity' | 'flow';

/** Numbers of a measured step. */
export const measures = (what: Measured): number => (what === 'velocity' ? WIDTH : STATE);

/** What a measured number of a frame was divided by; drag and lift by nothing. */
export function scaleOf(index: number, { along, across }: Deviations): number {
  if (index >= WIDTH) return 1;
  return index < VELOCITIES[0] ? along : across;
}

/** What a frame has of the measured values. */
export function measuredOf(frame: Float32Array, what: Measured, deviations: Deviations): Float32Array {
  return frame.subarray(0, measures(what)).map((value, i) => value / scaleOf(i, deviations));
}

/** Every `every`-th frame of each trajectory as the start of a rollout, and as its targets the frames behind it. */
export class Windows implements Dataset {
  readonly name: string;
  readonly count: number;
  readonly shape = [ITEM, 1, 1] as const;
  readonly identity: object;
  readonly #references: References;
  readonly #deviations: Deviations;
  readonly #what: Measured;
  readonly #steps: number;
  readonly #every: number;
  readonly #perTrajectory: number;

  constructor(references: References, deviations: Deviations, what: Measured, steps: number, every = 1) {
    this.#references = references;
    this.#deviations = deviations;
    this.#what = what;
    this.#steps = steps;
    this.#every = every;
    this.#perTrajectory = Math.floor((references.frames - steps - 1) / every) + 1;
    this.count = references.reynolds.length * this.#perTrajectory;
    this.name = `${steps} frames of wakes`;
    this.identity = { digest: references.digest, deviations, what, steps, every };
  }

  batch(indices: Uint32Array): Batch {
    const images = new Float32Array(indices.length * ITEM);
    const rows = Array.from(indices, (index, i) => {
      const trajectory = Math.floor(index / this.#perTrajectory);
      const start = (index % this.#perTrajectory) * this.#every;
      const first = this.#references.frame(trajectory, start).subarray(0, WIDTH);
      images.set(itemOf(this.#references.reynolds[trajectory]!, first), i * ITEM);
      return Array.from({ length: this.#steps }, (_, step) =>
        measuredOf(this.#references.frame(trajectory, start + 1 + step), this.#what, this.#deviations),
      );
    });
    const width = measures(this.#what);
    const targets = new Float32Array(indices.length * this.#steps * width);
    rows.flat().forEach((row, i) => {
      targets.set(row, i * width);
    });
    return { images, count: indices.length, targets };
  }
}
