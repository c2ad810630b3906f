/**
 * Functions to minimise, with starts by seed and values to reach.
 *
 * @module
 */
import type { Answer } from 'deepzero';

import { uniforms } from '../support/random.js';
import { bestGain, LQR_PARAMETERS, lqrCost } from './lqr.js';

/** A function, a start and a value to reach. */
export interface Instance {
  readonly start: readonly number[];
  /** The value that counts as reached. */
  readonly target: number;
}

export interface Problem {
  readonly name: string;
  readonly dimension: number;
  /** The value without noise. */
  readonly value: (x: Float64Array) => number;
  /** The standard deviation of the noise that a loss has beside the value. */
  readonly noise: number;
  /** Evaluations of each query. */
  readonly repeats: number;
  /** The most evaluations. */
  readonly budget: number;
  /** In words. */
  readonly goal: string;
  readonly instance: (seed: number) => Instance;
}

const sphere = (x: Float64Array): number => x.reduce((sum, value) => sum + value ** 2, 0);

/** Σ 100·(x_{i + 1} − x_i²)² + (1 − x_i)². For more than three numbers it has a local minimum near 4 too. */
function rosenbrock(x: Float64Array): number {
  let sum = 0;
  for (let i = 1; i < x.length; i++) sum += 100 * (x[i]! - x[i - 1]! ** 2) ** 2 + (1 - x[i - 1]!) ** 2;
  return sum;
}

/** Σ x² − 10·cos(2πx) + 10, with a local minimum near every point of integers. */
const rastrigin = (x: Float64Array): number =>
  x.reduce((sum, value) => sum + value ** 2 - 10 * Math.cos(2 * Math.PI * value) + 10, 0);

/** The value of Rastrigin's local minimum next to a point, by Newton's method in each coordinate from the nearest integer. */
function localMinimum(start: readonly number[]): number {
  const bottom = start.map((value) => {
    let x = Math.round(value);
    for (let i = 0; i < 20; i++) {
      const angle = 2 * Math.PI * x;
      x -= (2 * x + 20 * Math.PI * Math.sin(angle)) / (2 + 40 * Math.PI ** 2 * Math.cos(angle));
    }
    return x;
  });
  return rastrigin(Float64Array.from(bottom));
}

/** ½Σ i·x_i². */
const quadratic = (x: Float64Array): number => x.reduce((sum, value, i) => sum + ((i + 1) / 2) * value ** 2, 0);

/** A start uniform in [centre − reach, centre + reach]. */
function around(seed: number, centre: readonly number[], reach: number): number[] {
  const uniform = uniforms(seed);
  // Neighbouring seeds begin alike.
  for (let i = 0; i < 20; i++) uniform();
  return centre.map((value) => value + reach * (2 * uniform() - 1));
}

const zeros = (count: number): number[] => new Array<number>(count).fill(0);

/** K is so many times the parameters: all problems have parameters of about 1. */
const GAIN = 0.1;
const lqr = (x: Float64Array): number => lqrCost(x.map((value) => GAIN * value));

type Given = Pick<Problem, 'name' | 'dimension' | 'value' | 'budget' | 'goal' | 'instance'> & Partial<Problem>;

const problem = (given: Given): Problem => ({ noise: 0, repeats: 1, ...given });

const noisy = (name: string, repeats: number): Problem =>
  problem({
    ...{ name, dimension: 10, value: quadratic, noise: 0.1, repeats, budget: 20_000, goal: '0.05 without noise' },
    instance: (seed) => ({ start: around(seed, zeros(10), 2), target: 0.05 }),
  });

export const PROBLEMS: readonly Problem[] = [
  problem({
    ...{ name: 'sphere', dimension: 10, value: sphere, budget: 20_000, goal: '1e-6' },
    instance: (seed) => ({ start: around(seed, zeros(10), 5), target: 1e-6 }),
  }),
  problem({
    ...{ name: 'rosenbrock2', dimension: 2, value: rosenbrock, budget: 40_000, goal: '1e-3' },
    instance: (seed) => ({ start: around(seed, zeros(2), 2), target: 1e-3 }),
  }),
  problem({
    ...{ name: 'rosenbrock10', dimension: 10, value: rosenbrock, budget: 100_000, goal: '0.1' },
    instance: (seed) => ({ start: around(seed, zeros(10), 2), target: 0.1 }),
  }),
  problem({
    ...{ name: 'rastrigin', dimension: 2, value: rastrigin, budget: 5000, goal: '1e-3, the global minimum' },
    instance: (seed) => ({ start: around(seed, zeros(2), 5.12), target: 1e-3 }),
  }),
  problem({
    ...{
      name: 'rastrigin-local',
      dimension: 2,
      value: rastrigin,
      budget: 5000,
      goal: '1e-3 above the nearest minimum',
    },
    instance: (seed) => {
      const start = around(seed, zeros(2), 5.12);
      return { start, target: localMinimum(start) + 1e-3 };
    },
  }),
  noisy('noisy', 1),
  noisy('noisy-4', 4),
  problem({
    ...{ name: 'lqr', dimension: LQR_PARAMETERS, value: lqr, budget: 20_000, goal: '1 % above the best cost' },
    instance: (seed) => {
      // K = −½·I, and some more.
      const centre = zeros(LQR_PARAMETERS).map((_, i) => (i % 4 === 0 ? -0.5 / GAIN : 0));
      return { start: around(seed, centre, 1), target: 1.01 * lqrCost(bestGain()) };
    },
  }),
];

/** What a loss answers. */
export function answerOf(value: number): Answer {
  return Number.isFinite(value) ? value : { infeasible: 'no finite cost' };
}
