/**
 * The options of `deepzero train`, what they resolve to, and how a run's folder keeps them.
 *
 * @module
 */
import { resolve as absolutePath } from 'node:path';

import * as v from 'valibot';

import { didYouMean, FileError, InvalidArgumentError, quote } from '../support/errors.js';
import {
  expectedOption,
  fraction,
  integer,
  isObject,
  nonNegative,
  oneOf,
  positive,
  queryCount,
  string,
} from '../support/schema.js';
import type { Estimator } from '../estimators/estimator.js';
import { cge } from '../estimators/cge.js';
import { rge } from '../estimators/rge.js';
import { BATCH_SIZE, MOMENTUM, warmupOf, WEIGHT_DECAY } from '../paper.js';
import { firstOrder } from '../estimators/first-order.js';
import { writeFileAtomically } from '../support/files.js';
import { readJson } from '../support/json.js';
import type { LayerRatios } from '../estimators/masks.js';
import type { Optimizer } from '../optimizers/optimizers.js';
import { adam, sgd } from '../optimizers/optimizers.js';
import type { Schedule } from '../optimizers/schedules.js';
import { constant, cosine, step } from '../optimizers/schedules.js';
import { version } from '../support/version.js';
import type { NetworkChoice } from './inputs.js';
import { batchSizeOption, dataOption, networkOptions, seedOption } from './inputs.js';
import type { OptionsOf } from './options.js';
import { dashed, flag, inGroup, option, validate, withDefaults } from './options.js';
import type { GraspChoice, Method } from './prune.js';
import { graspOptions, METHODS, muOption } from './prune.js';

/** What fixes a run: the same settings on the same data train to the same bits. */
export interface TrainSettings extends NetworkChoice, GraspChoice {
  /** `synthetic`, or the absolute path of a folder. */
  data: string;
  estimator: 'sparse-cge' | 'cge' | 'rge' | 'first-order';
  mu: number;
  central: boolean;
  sparsity: number;
  ratios: string;
  redrawEvery: number;
  queries: number;
  distribution: 'gaussian' | 'sphere' | 'rademacher';
  perTensor: boolean;
  scale: 'paper' | 'unbiased';
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

/** The settings as options give them: what may be left open is decided by `settle`. */
export type GivenSettings = Omit<TrainSettings, 'lr' | 'sparsity'> & {
  lr: number | undefined;
  sparsity: number | undefined;
};

const MASKED = { option: 'estimator', values: ['sparse-cge', 'first-order'] };
const RANDOM = { option: 'estimator', values: ['rge'] };
const DIFFERENCE = { option: 'estimator', values: ['sparse-cge', 'cge', 'rge'] };

/** How a sparsity may be spread over the layers, unless as a file says. */
export const SPREADS: readonly string[] = [...METHODS, 'uniform'];

export const settingsOptions: OptionsOf<GivenSettings> = {
  ...networkOptions,
  data: dataOption,
  ...inGroup('Gradient estimate', {
    estimator: option(v.optional(oneOf(['sparse-cge', 'cge', 'rge', 'first-order']), 'sparse-cge'), {
      help: 'finite differences along a random part of the coordinates, along all of them, or along random directions; or, to compare with, back-propagation',
    }),
    mu: muOption,
    central: flag('central differences: twice the queries, and an error of order μ² instead of μ', {
      requires: DIFFERENCE,
    }),
    sparsity: option(v.optional(fraction), {
      help: 'fraction of the weights whose gradient is left out at a step',
      otherwise: '0.9, on synthetic data 0.99, with first-order 0',
      requires: MASKED,
    }),
    ratios: option(v.optional(string, 'zo-grasp'), {
      placeholder: 'NAME|FILE',
      help: `how the sparsity is spread over the layers: ${SPREADS.join(', ')}, or as in a file of prune --out`,
      requires: MASKED,
    }),
    redrawEvery: option(v.optional(integer(1), 5), {
      help: 'epochs after which other coordinates are drawn',
      requires: MASKED,
    }),
    queries: option(v.optional(queryCount, 192), { help: 'random directions of a step', requires: RANDOM }),
    distribution: option(v.optional(oneOf(['gaussian', 'sphere', 'rademacher']), 'gaussian'), {
      help: "of a direction's entries: standard normal, on the unit sphere, or ±1",
      requires: RANDOM,
    }),
    perTensor: flag("scale each tensor's part of a direction to unit length, as the public code does", {
      requires: RANDOM,
    }),
    scale: option(v.optional(oneOf(['paper', 'unbiased']), 'paper'), {
      help: 'the mean over directions as it stands, or times the factor that makes it unbiased',
      requires: RANDOM,
    }),
  }),
  ...graspOptions('ratios'),
  ...inGroup('Training', {
    batchSize: batchSizeOption('images of a step', BATCH_SIZE, 16),
    epochs: option(v.optional(integer(1)), { help: 'length of the run', otherwise: '50' }),
    steps: option(v.optional(integer(1)), {
      help: 'length of the run, instead of --epochs',
      otherwise: '40 on synthetic data',
    }),
    optimizer: option(v.optional(oneOf(['sgd', 'adam']), 'sgd'), { help: 'turns gradients into updates' }),
    lr: option(v.optional(positive), {
      help: 'learning rate after the warm-up',
      otherwise: '0.1, on synthetic data 1; with rge 1e-3 and 1e-2; with first-order 0.1; with adam 1e-3',
    }),
    momentum: option(v.optional(fraction, MOMENTUM), {
      help: 'momentum',
      demo: 0.5,
      requires: { option: 'optimizer', values: ['sgd'] },
    }),
    weightDecay: option(v.optional(nonNegative, WEIGHT_DECAY), { help: 'strength of the L2 penalty' }),
    schedule: option(v.optional(oneOf(['cosine', 'step', 'constant']), 'cosine'), {
      help: 'the learning rate falls along half a cosine, or to a tenth after each third of the run, or not',
    }),
    warmupEpochs: option(v.optional(nonNegative), {
      help: 'epochs in which the learning rate climbs',
      otherwise: '3, or a tenth of a run of less than 30 epochs',
      requires: { option: 'schedule', values: ['cosine', 'step'] },
    }),
    seed: seedOption,
  }),
};

/** What masks are drawn by, and their ratios found. */
export const MASK_SETTINGS: readonly (keyof TrainSettings)[] = [
  'mu',
  'ratios',
  'redrawEvery',
  ...(Object.keys(graspOptions('ratios')) as (keyof GraspChoice)[]),
];

/** The settings among a command's values, with the run's length, its learning rate and the data's place decided. */
export function settle(values: GivenSettings): TrainSettings {
  const { data, epochs, steps, lr = defaultRate(values), sparsity = defaultSparsity(values) } = values;
  if (epochs !== undefined && steps !== undefined) {
    throw new InvalidArgumentError('Expected --epochs or --steps, received both');
  }
  const open = epochs === undefined && steps === undefined;
  const settled: TrainSettings = {
    ...values,
    lr,
    sparsity,
    data: data === 'synthetic' ? data : absolutePath(data),
    steps: open && data === 'synthetic' ? 40 : steps,
    epochs: open && data !== 'synthetic' ? 50 : epochs,
  };
  const names = Object.keys(settingsOptions) as (keyof TrainSettings)[];
  return Object.fromEntries(names.map((name) => [name, settled[name]])) as unknown as TrainSettings;
}

/**
 * Adam's is the one its authors advise, SGD's along coordinates and first-order the paper's. Along random directions the square of the estimate
 * is about d/q times that of the gradient, so the rate must be smaller: of 0.1, 1e-2, 1e-3 and 1e-4, 25 steps of ResNet-20 on
 * synthetic data ended at losses of 2.20, 1.79, 2.61 and 2.94.
 */
function defaultRate({ optimizer, estimator, data }: GivenSettings): number {
  if (optimizer === 'adam') return 1e-3;
  if (estimator === 'rge') return data === 'synthetic' ? 1e-2 : 1e-3;
  if (estimator === 'first-order') return 0.1;
  return data === 'synthetic' ? 1 : 0.1;
}

/** The paper's with estimates, where it saves queries. */
function defaultSparsity({ estimator, data }: GivenSettings): number {
  if (estimator === 'first-order') return 0;
  return data === 'synthetic' ? 0.99 : 0.9;
}

/** Where the ratios that masks are drawn to come from: found by a method, read from a file, or the same everywhere. */
export function ratiosFrom({ estimator, ratios, sparsity }: GivenSettings): Method | 'uniform' | 'file' {
  if (!MASKED.values.includes(estimator) || ratios === 'uniform') return 'uniform';
  const method = METHODS.find((known) => known === ratios);
  if (method === undefined) return 'file';
  return estimator === 'first-order' && (sparsity ?? 0) === 0 ? 'uniform' : method;
}

/** The optimizer of a run on so many images. */
export function makeOptimizer(settings: TrainSettings, images: number): Optimizer {
  const { optimizer, momentum, weightDecay, batchSize, epochs, steps = 1 } = settings;
  const lr = makeSchedule(settings, epochs ?? steps / Math.floor(images / batchSize));
  return optimizer === 'adam' ? adam({ lr, weightDecay }) : sgd({ lr, momentum, weightDecay });
}

function makeSchedule({ schedule, lr, warmupEpochs: given }: TrainSettings, epochs: number): Schedule {
  const warmupEpochs = given ?? warmupOf(epochs);
  if (warmupEpochs > epochs) {
    throw expectedOption('warmupEpochs', `at most ${Number(epochs.toPrecision(3))}, the run's length`, String(given));
  }
  if (schedule === 'constant') return constant(lr);
  if (schedule === 'step') return step({ initial: lr, every: epochs / 3, warmupEpochs });
  return cosine({ peak: lr, warmupEpochs });
}

export function makeEstimator(settings: TrainSettings, ratios: number | LayerRatios): Estimator {
  const { estimator, mu, central, queries, distribution, perTensor, scale, redrawEvery } = settings;
  if (estimator === 'rge') return rge({ mu, central, queries, distribution, perTensor, scale });
  const mask = { ...(typeof ratios === 'number' ? { sparsity: ratios } : { ratios }), redrawEvery };
  if (estimator === 'first-order') return firstOrder(mask);
  return estimator === 'cge' ? cge({ mu, central }) : cge({ mu, central, ...mask });
}

export async function writeConfig(file: string, settings: TrainSettings): Promise<void> {
  await writeFileAtomically(file, `${JSON.stringify({ deepzero: version, options: settings }, undefined, 2)}\n`);
}

/** Reads the settings back through the option table, so that an edited file is checked like a command line. */
export async function readConfig(file: string): Promise<TrainSettings> {
  const content = await readJson(file);
  const options = isObject(content) ? content['options'] : undefined;
  if (!isObject(options)) throw new FileError(file, 'has no "options", as deepzero train writes them');
  const given: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(options)) {
    const known = Object.hasOwn(settingsOptions, key) ? settingsOptions[key as keyof TrainSettings] : undefined;
    if (!known)
      throw new FileError(file, `unknown option ${quote(key)}${didYouMean(key, Object.keys(settingsOptions))}`);
    try {
      given[key] = validate(known, value, dashed(key));
    } catch (cause) {
      throw new FileError(file, (cause as Error).message, { cause });
    }
  }
  return settle(withDefaults(settingsOptions, given));
}
