/**
 * Short runs of `deepzero train`.
 *
 * @module
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TrainStep } from '../../lib/training/log.js';
import { TINY } from './command.js';

/** ZO-GraSP and sparse-CGE with a redraw every other epoch of 7 steps. */
export const RECIPE: readonly string[] = [
  ...TINY,
  ...['--batch-size', '8', '--sparsity', '0.5', '--redraw-every', '2'],
  ...['--grasp-queries', '4', '--samples-per-class', '2', '--seed', '3'],
];

/** The steps in the log of a run's folder. */
export async function readLog(run: string): Promise<(TrainStep & { test?: object })[]> {
  const lines = (await readFile(join(run, 'log.jsonl'), 'utf8')).trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line) as TrainStep);
}

const TIMED = ['seconds', 'queriesPerSecond', 'time', 'machine'];

/** Steps without what depends on times, machines and where a run was resumed. */
export function timeless(steps: readonly TrainStep[]): object[] {
  return steps.map((step) => Object.fromEntries(Object.entries(step).filter(([key]) => !TIMED.includes(key))));
}
