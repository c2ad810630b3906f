/**
 * The results of a run as text.
 *
 * @module
 */
import type { RunSummary } from '../../runs/types.js';
import { formatDuration } from '../../support/duration.js';
import { escaped, inline } from '../../support/errors.js';
import { grouped, percent } from '../output.js';

/** Of what a folder does not say. */
const NONE = '–';

const text = <T>(value: T | null, format: (value: T) => string): string => (value === null ? NONE : format(value));

/** What is shown of a run, by the heading. */
const SHOWN: Readonly<Record<string, (run: RunSummary) => string>> = {
  run: ({ name }) => name,
  state: ({ state }) => state,
  network: ({ network }) => text(network, String),
  estimator: ({ estimator }) => text(estimator, String),
  steps: ({ steps, totalSteps }) => `${grouped(steps)}/${text(totalSteps, grouped)}`,
  loss: ({ loss }) => lossText(loss),
  accuracy: ({ accuracy }) => text(accuracy, percent),
  'test accuracy': ({ test }) => text(test?.accuracy ?? null, percent),
  queries: ({ queries }) => text(queries, grouped),
  time: ({ seconds }) => text(seconds, formatDuration),
};

export const COLUMNS: readonly string[] = Object.keys(SHOWN);

/** A run as a row of the table. */
export function rowOf(run: RunSummary): string[] {
  return COLUMNS.map((name) => SHOWN[name]!(run));
}

/** More of it, for a comparison. */
export const RESULTS: Readonly<Record<string, (run: RunSummary) => string>> = {
  ...SHOWN,
  'test loss': ({ test }) => lossText(test?.loss ?? null),
  'queries/s': ({ queriesPerSecond }) => text(queriesPerSecond, grouped),
  processor: ({ processor }) => text(processor, String),
  threads: ({ threads }) => text(threads, grouped),
};

export function lossText(loss: number | null): string {
  return text(loss, (value) => value.toPrecision(4));
}

/** Why a run failed, and what is wrong with its folder, a line each. */
export function remarksOn({ name, message, problems }: RunSummary): string[] {
  return [...(message === null ? [] : [`${inline(name)}: ${escaped(message)}`]), ...problems];
}
