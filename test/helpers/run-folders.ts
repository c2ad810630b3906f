/**
 * Folders of runs as `train` writes them, with made-up numbers.
 *
 * @module
 */
import { appendFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Random } from '../../lib/native/random.js';
import type { Tensor } from '../../lib/support/safetensors.js';
import { writeSafetensors } from '../../lib/support/safetensors.js';

export interface MadeRun {
  readonly steps?: number;
  readonly totalSteps?: number;
  readonly seed?: number;
  readonly lr?: number;
  readonly state?: string;
  /** Of each step. */
  readonly queries?: number;
  /** Queries without an answer, of each step. */
  readonly failed?: number;
  /** When its first step began, in milliseconds since 1970. */
  readonly started?: number;
  /** Of earlier versions: without norms, times, mask, `run.json` and `status.json`. */
  readonly isOld?: boolean;
  readonly message?: string;
}

/** Weight tensors and their shapes. */
const TENSORS: Readonly<Record<string, number[]>> = {
  'conv1.weight': [16, 3, 3, 3],
  'block1.conv1.weight': [16, 16, 3, 3],
  'block1.conv2.weight': [16, 16, 3, 3],
  'block2.conv1.weight': [32, 16, 3, 3],
  'block2.conv2.weight': [32, 32, 3, 3],
  'block3.conv1.weight': [64, 32, 3, 3],
  'block3.conv2.weight': [64, 64, 3, 3],
  'fc.weight': [10, 64],
};

const NAMES = Object.keys(TENSORS);
const DENSITY = Object.fromEntries(NAMES.map((name, i) => [name, 0.4 / (i + 1)]));
const STEPS_PER_EPOCH = 100;
const STARTED = Date.UTC(2026, 0, 5, 9);

/** A line of a log. */
export function lineOf(
  step: number,
  { seed = 1, lr = 0.1, queries = 2400, failed = 0, isOld = false, started = STARTED }: MadeRun = {},
): string {
  const random = new Random(seed * 1_000_003 + step, 'samples');
  const noise = (): number => random.integer(1000) / 500 - 1;
  const past = step / (400 / lr / 10);
  const loss = 0.35 + 1.95 * Math.exp(-past) + 0.12 * noise();
  const accuracy = Math.min(1, Math.max(0, 0.92 - 0.8 * Math.exp(-past) + 0.05 * noise()));
  const seconds = 2.4 + 0.2 * noise();
  const norms = Object.fromEntries(
    NAMES.map((name, i) => [name, (0.9 + 0.2 * noise()) * Math.exp(-past / (i + 1)) + 0.02]),
  );
  const entry = {
    ...{ step, epoch: Math.floor(step / STEPS_PER_EPOCH), loss, accuracy },
    ...{
      lr: (lr / 2) * (1 + Math.cos((Math.PI * step) / 4000)),
      queries,
      seconds,
      queriesPerSecond: queries / seconds,
    },
    ...(failed > 0 && { failed }),
    ...(step % STEPS_PER_EPOCH === STEPS_PER_EPOCH - 1 && { test: { loss: loss + 0.1, accuracy: accuracy - 0.04 } }),
    ...(!isOld && {
      time: new Date(started + 2400 * (step + 1)).toISOString(),
      totalQueries: queries * (step + 1),
      ...{ gradientNorm: 1.4 * Math.exp(-past) + 0.1, updateNorm: lr * Math.exp(-past), gradientNorms: norms },
      ...(step % STEPS_PER_EPOCH === 0 && { density: DENSITY }),
    }),
  };
  return `${JSON.stringify(entry)}\n`;
}

/** Makes the folder of a run. */
export async function writeRun(folder: string, made: MadeRun = {}): Promise<void> {
  const {
    steps = 250,
    totalSteps = 4000,
    seed = 1,
    lr = 0.1,
    state = 'running',
    queries = 2400,
    isOld = false,
    started = STARTED,
  } = made;
  await mkdir(folder, { recursive: true });
  await appendSteps(folder, 0, steps, made);
  const settings = { network: 'resnet20', estimator: 'sparse-cge', sparsity: 0.9, lr, momentum: 0.9, mu: 5e-3, seed };
  await writeFile(
    join(folder, 'config.json'),
    JSON.stringify({ format: 1, options: { ...settings, epochs: null }, inputs: {}, changes: [] }),
  );
  if (isOld) return;
  const machine = {
    host: 'node7',
    pid: 4711,
    processor: 'AMD EPYC',
    threads: 16,
    ranks: 4,
    isa: 'avx512',
    node: 'v22.9.0',
  };
  const starts = [{ time: new Date(started).toISOString(), step: 0, ...machine }];
  const config = {
    network: { name: settings.network, layers: NAMES.map((name) => ({ name, shape: TENSORS[name] })) },
    estimator: { kind: 'cge', mu: settings.mu, sparsity: settings.sparsity },
    optimizer: { kind: 'sgd', lr, momentum: settings.momentum },
    ...{ steps: totalSteps, seed },
  };
  await writeFile(join(folder, 'run.json'), JSON.stringify({ version: '0.1.0', config, starts }));
  await writeStatus(folder, { ...made, steps, totalSteps, state, queries });
  await writeMask(join(folder, 'mask.safetensors'), seed);
}

/** Adds the steps from one to another to a log. */
export async function appendSteps(folder: string, from: number, to: number, made: MadeRun = {}): Promise<void> {
  const lines = Array.from({ length: to - from }, (_, i) => lineOf(from + i, made));
  await appendFile(join(folder, 'log.jsonl'), lines.join(''));
}

export async function writeStatus(folder: string, made: MadeRun): Promise<void> {
  const { steps = 0, totalSteps = 4000, state = 'running', queries = 2400, message } = made;
  const time = new Date().toISOString();
  const within = state === 'running' ? 0.45 : 0;
  const done = Math.floor(within * queries);
  const status = { time, step: steps, totalSteps, within, done, of: queries, state, message };
  await writeFile(join(folder, 'status.json'), JSON.stringify(status));
}

async function writeMask(file: string, seed: number): Promise<void> {
  const random = new Random(seed, 'samples');
  const tensors = NAMES.map((name): [string, Tensor] => {
    const shape = TENSORS[name]!;
    const size = shape.reduce((product, length) => product * length, 1);
    const data = Uint8Array.from({ length: size }, () => Number(random.integer(1000) < 1000 * DENSITY[name]!));
    return [name, { dtype: 'BOOL', shape, data }];
  });
  await writeSafetensors(file, new Map(tensors));
}
