/**
 * Summary statistics of lists of numbers.
 *
 * @module
 */

export interface Statistics {
  mean: number;
  median: number;
  /** Of the sample, with n − 1. */
  deviation: number;
  /** Half of the 95 % confidence interval of the mean, in percent of the mean; 0 for a single timing. */
  rme: number;
  samples: number;
}

/** Student's t for a two-sided 95 % interval, by degrees of freedom from 1. */
const CRITICAL = [
  ...[12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131],
  ...[2.12, 2.11, 2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042],
];

export function statistics(sample: readonly number[]): Statistics {
  const samples = sample.length;
  const average = mean(sample);
  const squares = sum(sample.map((value) => (value - average) ** 2));
  const deviation = samples > 1 ? Math.sqrt(squares / (samples - 1)) : 0;
  const margin = (CRITICAL[samples - 2] ?? 1.96) * (deviation / Math.sqrt(samples));
  const rme = samples > 1 ? (100 * margin) / average : 0;
  return { mean: average, median: median(sample), deviation, rme, samples };
}

export function median(sample: readonly number[]): number {
  const sorted = sample.toSorted((a, b) => a - b);
  const half = sorted.length / 2;
  return (sorted[Math.ceil(half) - 1]! + sorted[Math.floor(half)]!) / 2;
}

export interface Ratio {
  median: number;
  /** The first and the third quartile. */
  low: number;
  high: number;
}

/** The ratio of two contenders' times, round by round: noise that hits both cancels. */
export function ratio(sample: readonly number[], reference: readonly number[]): Ratio {
  const ratios = sample.map((value, i) => value / reference[i]!).sort((a, b) => a - b);
  const at = (fraction: number): number => ratios[Math.round(fraction * (ratios.length - 1))]!;
  return { median: median(ratios), low: at(0.25), high: at(0.75) };
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

export function mean(values: readonly number[]): number {
  return sum(values) / values.length;
}
