/**
 * The options of `deepzero train`, what they resolve to, and how a run's folder keeps them.
 *
 * @module
 */
import { resolve as absolutePath } from 'node:path';

import * as check from '../check.js';
import { FileError, InvalidArgumentError } from '../check.js';
import type { Estimator } from '../estimators.js';
import { cge, rge } from '../estimators.js';
import { writeFileAtomically } from '../files.js';
import type { LayerSparsity } from '../masks.js';
import type { Optimizer } from '../optimizers.js';
import { adam, sgd } from '../optimizers.js';
import type { Schedule } from '../schedules.js';
import { constant, cosine, step } from '../schedules.js';
import { version } from '../version.js';
import type { NetworkChoice } from './inputs.js';
import { dataOption, isRecord, networkOptions, readJson, seedOption, whole } from './inputs.js';
import type { OptionsOf } from './options.js';
import { choice, dashed, number, text, withDefaults } from './options.js';
import type { GraspChoice } from './ratios.js';
import { graspOptions, muOption, sparsityOption } from './ratios.js';

/** What fixes a run: the same settings on the same data train to the same bits. */
export interface TrainSettings extends NetworkChoice, GraspChoice {
  /** `synthetic`, or the absolute path of a folder. */
  data: string;
  estimator: 'sparse-cge' | 'cge' | 'rge';
  mu: number;
  sparsity: number;
  ratios: string;
  redrawEvery: number;
  queries: number;
  batchSize: number;
  /** The run's length, as one of these two. */
  epochs: number | undefined;
  steps: number | undefined;
  optimizer: 'sgd' | 'adam';
  lr: number;
  momentum: number;
  weightDecay: number;
  schedule: 'cosine' | 'step' | 'constant';
  warmupEpochs: number | undefined;
  seed: number;
}

const SPARSE = { option: 'estimator', values: ['sparse-cge'] };

export const settingsOptions: OptionsOf<TrainSettings> = {
  ...networkOptions,
  data: dataOption,
  estimator: choice(['sparse-cge', 'cge', 'rge'], {
    help: 'along a random part of the coordinates, along all of them, or along random directions',
    default: 'sparse-cge',
  }),
  mu: muOption,
  sparsity: sparsityOption(SPARSE),
  ratios: text('zo-grasp|uniform|FILE', {
    help: 'how the sparsity is spread over the layers: as ZO-GraSP finds, evenly, or as in a file of prune --out',
    default: 'zo-grasp',
    only: SPARSE,
  }),
  ...graspOptions({ option: 'ratios', values: ['zo-grasp'] }),
  redrawEvery: number(whole(1), { help: 'epochs after which other coordinates are drawn', default: 5, only: SPARSE }),
  queries: number(whole(1), {
    help: 'random directions of a step',
    default: 192,
    only: { option: 'estimator', values: ['rge'] },
  }),
  batchSize: number(whole(1), { help: 'images of a step', default: 256, demo: 16 }),
  epochs: number(whole(1), { help: 'length of the run; 50 unless given' }),
  steps: number(whole(1), { help: 'length of the run, instead of --epochs; 40 on synthetic data unless given' }),
  optimizer: choice(['sgd', 'adam'], { help: 'what turns gradients into updates', default: 'sgd' }),
  lr: number(check.positive, { help: 'learning rate after the warm-up', default: 0.1, demo: 1 }),
  momentum: number((value, what) => check.fraction(value, what), {
    help: 'momentum',
    default: 0.9,
    demo: 0.5,
    only: { option: 'optimizer', values: ['sgd'] },
  }),
  weightDecay: number(check.nonNegative, { help: 'strength of the L2 penalty', default: 5e-4 }),
  schedule: choice(['cosine', 'step', 'constant'], {
    help: 'the learning rate falls along half a cosine, or to a tenth after each third of the run, or not',
    default: 'cosine',
  }),
  warmupEpochs: number(check.nonNegative, {
    help: 'epochs in which the learning rate climbs; unless given 3, or a tenth of a run of less than 30 epochs',
    only: { option: 'schedule', values: ['cosine', 'step'] },
  }),
  seed: seedOption,
};

/** The settings among a command's values, with the run's length and the data's place decided. */
export function settle(values: TrainSettings): TrainSettings {
  const { data, epochs, steps } = values;
  if (epochs !== undefined && steps !== undefined) {
    throw new InvalidArgumentError('Expected --epochs or --steps, received both');
  }
  const open = epochs === undefined && steps === undefined;
  const settled: TrainSettings = {
    ...values,
    data: data === 'synthetic' ? data : absolutePath(data),
    steps: open && data === 'synthetic' ? 40 : steps,
    epochs: open && data !== 'synthetic' ? 50 : epochs,
  };
  const names = Object.keys(settingsOptions) as (keyof TrainSettings)[];
  return Object.fromEntries(names.map((name) => [name, settled[name]])) as unknown as TrainSettings;
}

/** The optimizer of a run on so many images. */
export function makeOptimizer(settings: TrainSettings, images: number): Optimizer {
  const { optimizer, momentum, weightDecay, batchSize, epochs, steps = 1 } = settings;
  const lr = makeSchedule(settings, epochs ?? steps / Math.floor(images / batchSize));
  return optimizer === 'adam' ? adam({ lr, weightDecay }) : sgd({ lr, momentum, weightDecay });
}

/** The paper's 3 epochs of warm-up would swallow a short run, so unless asked for they are at most a tenth of it. */
function makeSchedule({ schedule, lr, warmupEpochs: given }: TrainSettings, epochs: number): Schedule {
  const warmupEpochs = given ?? Math.min(3, epochs / 10);
  if (warmupEpochs > epochs) throw check.expected('--warmup-epochs', `at most ${epochs}, the run's length`, given);
  if (schedule === 'constant') return constant(lr);
  if (schedule === 'step') return step({ initial: lr, every: epochs / 3, warmupEpochs });
  return cosine({ peak: lr, warmupEpochs });
}

export function makeEstimator(settings: TrainSettings, sparsity: number | LayerSparsity): Estimator {
  const { estimator, mu, queries, redrawEvery } = settings;
  if (estimator === 'rge') return rge({ mu, queries });
  return estimator === 'cge' ? cge({ mu }) : cge({ mu, sparsity, redrawEvery });
}

export async function writeConfig(file: string, settings: TrainSettings): Promise<void> {
  await writeFileAtomically(file, `${JSON.stringify({ deepzero: version, options: settings }, undefined, 2)}\n`);
}

/** Reads the settings back through the option table, so that an edited file is checked like a command line. */
export async function readConfig(file: string): Promise<TrainSettings> {
  const content = await readJson(file);
  const options = isRecord(content) ? content['options'] : undefined;
  if (!isRecord(options)) throw new FileError(file, 'has no "options", as deepzero train writes them');
  const given: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(options)) {
    const known = Object.hasOwn(settingsOptions, key) ? settingsOptions[key as keyof TrainSettings] : undefined;
    if (!known)
      throw new FileError(
        file,
        `unknown option ${JSON.stringify(key)}${check.didYouMean(key, Object.keys(settingsOptions))}`,
      );
    try {
      given[key] = known.parse(String(value), dashed(key));
    } catch (cause) {
      throw new FileError(file, (cause as Error).message, { cause });
    }
  }
  return settle(withDefaults(settingsOptions, given));
}
