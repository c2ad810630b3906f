/**
 * How far a corrected wake is from its reference.
 *
 * @module
 */
import { ITEM, itemOf, STATE, WIDTH } from '../../bench/support/wake.js';
import { mean } from '../../bench/support/statistics.js';
import type { References } from './references.js';
import type { Setting } from './setting.js';
import { scaleOf } from './windows.js';

export interface Errors {
  /** Mean absolute error of velocities over faces and frames, by trajectory. */
  readonly velocity: number[];
  /** Its mean over trajectories, by frame after the first. */
  readonly overTime: number[];
  /** Absolute error of the mean drag over all frames, by trajectory. */
  readonly drag: number[];
}

/** Rolls out a correction from the first frame of every trajectory to its last one. */
export async function errorsOf(setting: Setting, weights: Float32Array, references: References): Promise<Errors> {
  const { reynolds, frames } = references;
  const steps = frames - 1;
  const states = await rolledOut(setting, weights, references);
  const overTime = new Array<number>(steps).fill(0);
  const [velocity, drag]: [number[], number[]] = [[], []];
  for (const i of reynolds.keys()) {
    let difference = 0;
    const errors = Array.from({ length: steps }, (_, step) => {
      const [own, theirs] = [states[i]![step]!, references.frame(i, step + 1)];
      difference += (own[WIDTH]! - theirs[WIDTH]!) / steps;
      let sum = 0;
      for (let face = 0; face < WIDTH; face++) sum += Math.abs(own[face]! - theirs[face]!);
      return sum / WIDTH;
    });
    errors.forEach((error, step) => {
      overTime[step]! += error / reynolds.length;
    });
    velocity.push(mean(errors));
    drag.push(Math.abs(difference));
  }
  return { velocity, overTime, drag };
}

/** The states after all steps, by trajectory: velocities, drag and lift, as those of references. */
export async function rolledOut(
  setting: Setting,
  weights: Float32Array,
  references: References,
): Promise<Float32Array[][]> {
  const { reynolds, frames } = references;
  using model = setting.inLoop('flow', frames - 1);
  model.parameters.set(weights);
  const images = new Float32Array(reynolds.length * ITEM);
  reynolds.forEach((number, i) => {
    images.set(itemOf(number, references.frame(i, 0).subarray(0, WIDTH)), i * ITEM);
  });
  const measured = await model.predict({ images, count: reynolds.length });
  return reynolds.map((_, i) =>
    Array.from({ length: frames - 1 }, (__, step) => {
      const start = (i * (frames - 1) + step) * STATE;
      return measured.subarray(start, start + STATE).map((value, at) => value * scaleOf(at, setting.deviations));
    }),
  );
}
