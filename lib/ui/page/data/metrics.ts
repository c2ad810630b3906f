/**
 * What is plotted.
 *
 * @module
 */
import { count, duration, durationTick, measured, number, percent, shortCount } from './format.js';

export interface Metric {
  /** The column of the series. */
  readonly column: string;
  readonly title: string;
  /** Behind the title, as the unit; empty for plain numbers. */
  readonly unit: string;
  readonly format: (value: number) => string;
  /** Beside the axis; default: as `format`. */
  readonly tick?: (value: number) => string;
  /** Whether single steps vary so much that a mean over some says more. */
  readonly isNoisy: boolean;
  /** Whether a logarithmic scale is of use. */
  readonly mayBeLogarithmic: boolean;
  /** Shown even without values. */
  readonly isMain: boolean;
  /** Left out where all values are zero. */
  readonly isQuietAtZero?: boolean;
}

const plain = { unit: '', format: number, isNoisy: true, mayBeLogarithmic: false, isMain: false } as const;
/** What changes at every step. */
const measurement = { ...plain, format: measured, tick: number } as const;
const fraction = {
  ...plain,
  format: percent,
  tick: (value: number): string => `${Number((100 * value).toPrecision(3))} %`,
} as const;

export const METRICS: readonly Metric[] = [
  { ...measurement, column: 'loss', title: 'Loss', mayBeLogarithmic: true, isMain: true },
  { ...fraction, column: 'accuracy', title: 'Accuracy' },
  { ...measurement, column: 'testLoss', title: 'Test loss', isNoisy: false, mayBeLogarithmic: true },
  { ...fraction, column: 'testAccuracy', title: 'Test accuracy', isNoisy: false },
  { ...plain, column: 'lr', title: 'Learning rate', isNoisy: false, mayBeLogarithmic: true },
  { ...plain, column: 'queriesPerSecond', title: 'Speed', unit: 'queries/s' },
  { ...measurement, column: 'gradientNorm', title: 'Gradient norm', mayBeLogarithmic: true },
  { ...measurement, column: 'updateNorm', title: 'Update norm', mayBeLogarithmic: true },
  {
    ...plain,
    column: 'failed',
    title: 'Failed queries',
    unit: 'per step',
    isNoisy: false,
    isQuietAtZero: true,
  },
];

/** Distances of ticks in seconds, whose multiples are short in seconds, minutes, hours or days. */
const SECONDS = [1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800];
const HOURS = [1, 2, 3, 6, 12, 24, 48, 120, 240, 480, 1200, 2400];

export const AXES = {
  step: { title: 'Steps', name: 'step', format: count, tick: shortCount, distances: undefined },
  queries: { title: 'Queries', name: 'queries', format: count, tick: shortCount, distances: undefined },
  time: {
    ...{ title: 'Time', name: 'time', format: duration, tick: durationTick },
    distances: [...SECONDS, ...HOURS.map((hours) => 3600 * hours)],
  },
};
