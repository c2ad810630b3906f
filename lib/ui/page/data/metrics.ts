/**
 * What is plotted.
 *
 * @module
 */
import { count, duration, number, percent } from './format.js';

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
const fraction = {
  ...plain,
  format: percent,
  tick: (value: number): string => `${Number((100 * value).toPrecision(3))} %`,
} as const;

export const METRICS: readonly Metric[] = [
  { ...plain, column: 'loss', title: 'Loss', mayBeLogarithmic: true, isMain: true },
  { ...fraction, column: 'accuracy', title: 'Accuracy' },
  { ...plain, column: 'testLoss', title: 'Test loss', isNoisy: false, mayBeLogarithmic: true },
  { ...fraction, column: 'testAccuracy', title: 'Test accuracy', isNoisy: false },
  { ...plain, column: 'lr', title: 'Learning rate', isNoisy: false, mayBeLogarithmic: true },
  { ...plain, column: 'queriesPerSecond', title: 'Speed', unit: 'queries/s' },
  { ...plain, column: 'gradientNorm', title: 'Gradient norm', mayBeLogarithmic: true },
  { ...plain, column: 'updateNorm', title: 'Update norm', mayBeLogarithmic: true },
  {
    ...plain,
    column: 'failed',
    title: 'Failed queries',
    unit: 'per step',
    isNoisy: false,
    isQuietAtZero: true,
  },
];

export const AXES = {
  step: { title: 'Steps', name: 'step', format: count },
  queries: { title: 'Queries', name: 'queries', format: count },
  time: { title: 'Time', name: 'time', format: duration },
} as const;
