/**
 * Folders of runs that were made a second a step, with few files and round numbers.
 *
 * @module
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { writeSafetensors } from '../../lib/support/safetensors.js';
import { RunFolder } from '../../lib/training/folder.js';
import type { RunStatus } from '../../lib/training/record/status.js';

export const START = {
  ...{ time: '2030-01-01T00:00:00.000Z', step: 0, host: 'h', pid: 1, processor: 'p', threads: 2, ranks: 1 },
  ...{ isa: 'avx2', node: 'v20.0.0' },
};

/** A time so many seconds after the first start. */
export const at = (seconds: number): string => new Date(Date.parse(START.time) + 1000 * seconds).toISOString();

export const lineOf = (step: number, more: object = {}): string =>
  `${JSON.stringify({ step, loss: 100 - step, accuracy: step / 128, queries: 3, totalQueries: 3 * step + 3, ...more })}\n`;

export interface Content {
  steps?: number;
  starts?: object[];
  status?: Partial<RunStatus> | undefined;
  config?: object;
  log?: string;
}

/** Writes a run's folder; its steps take a second each. */
export async function writeRun(path: string, { steps = 40, starts = [START], status, config = {}, log }: Content = {}) {
  await mkdir(path, { recursive: true });
  const folder = new RunFolder(path);
  const lines = Array.from({ length: steps }, (_, step) =>
    lineOf(step, {
      time: at(step + 1),
      queriesPerSecond: 9,
      ...(step % 20 === 9 && { test: { loss: step, accuracy: 0.5 } }),
    }),
  );
  await writeFile(folder.log, log ?? lines.join(''));
  const about = {
    ...{ network: { name: 'tiny' }, estimator: { kind: 'cge', mu: 5e-3, sparsity: 0.9 }, optimizer: { lr: 0.1 } },
    ...{ steps: 50, ...config },
  };
  await writeFile(folder.about, JSON.stringify({ version: '1', config: about, starts }));
  const whole = {
    time: at(steps),
    step: steps,
    totalSteps: 50,
    within: 0,
    done: 0,
    of: 0,
    state: 'stopped',
    ...status,
  };
  await writeFile(folder.status, JSON.stringify(whole));
  return folder;
}

/** Writes a checkpoint of one tensor. */
export async function writeCheckpoint({ checkpoint }: RunFolder, run: object | undefined): Promise<void> {
  const tensors = new Map([['x', { dtype: 'F32' as const, shape: [3], data: new Float32Array(3) }]]);
  await writeSafetensors(checkpoint, tensors, run && { run: JSON.stringify(run) });
}
