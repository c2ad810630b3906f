/**
 * The options that fix a run of `deepzero train`: their table, their defaults, the optimizer and the estimator that they stand
 * for, and the files in the run's folder that hold them.
 *
 * @module
 */
import { join, resolve as absolutePath } from 'node:path';

import * as v from 'valibot';

import type { Estimator } from '../../estimators/estimator.js';
import { cge, cgeOptions } from '../../estimators/cge.js';
import { rge, rgeOptions } from '../../estimators/rge.js';
import { firstOrder } from '../../estimators/first-order.js';
import type { LayerRatios } from '../../estimators/masks.js';
import { maskOptions } from '../../estimators/masks.js';
import type { Distribution } from '../../model/options.js';
import type { Optimizer } from '../../optimizers/optimizers.js';
import { adam, sgd, sgdOptions } from '../../optimizers/optimizers.js';
import type { Schedule } from '../../optimizers/schedules.js';
import { constant, cosine, cosineOptions, step } from '../../optimizers/schedules.js';
import { BATCH_SIZE, MOMENTUM, warmupOf, WEIGHT_DECAY } from '../../paper.js';
import { configIn } from '../../runs/find.js';
import { FileError, InvalidArgumentError } from '../../support/errors.js';
import { writeFileAtomically } from '../../support/files.js';
import { readJson } from '../../support/json.js';
import { expectedOption, integer, object, oneOf, parseContent, string } from '../../support/schema.js';
import { version } from '../../support/version.js';
import type { RunChange } from '../../training/checkpoint.js';
import { checkFormat, runChange } from '../../training/checkpoint.js';
import type { RunFolder } from '../../training/folder.js';
import { trainOptions } from '../../training/options.js';
import type { NetworkChoice, Normalisation } from '../inputs.js';
import { dataOption, networkOptions, normalisationOptions, seedOption } from '../inputs.js';
import type { OptionsOf } from '../command.js';
import { checkRequirements, dashed, inGroup, option, unwrapped } from '../command.js';
import type { GraspChoice, Method } from '../prune.js';
import { graspOptions, METHODS, muOption } from '../prune.js';

/** The options that fix a run: the same settings on the same data train to the same bits. */
export interface TrainSettings extends Omit<NetworkChoice, 'network'>, GraspChoice, Normalisation {
  /** Undefined where the weights file determines it. */
  network: NetworkChoice['network'] | undefined;
  /** The absolute path of a file to start from, if not from random weights. */
  weights: string | undefined;
  /** `synthetic`, or the absolute path of a folder. */
  data: string;
  estimator: 'sparse-cge' | 'cge' | 'rge' | 'first-order';
  mu: number;
  central: boolean;
  /** Undefined where a file has the ratios. */
  sparsity: number | undefined;
  ratios: string;
  redrawEvery: number;
  queries: number;
  distribution: Distribution;
  perTensor: boolean;
  scale: 'paper' | 'unbiased';
  batchSize: number;
  /** The run's length is one of these two. */
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

/** The settings as options give them: `settle` decides those that are open. */
export type GivenSettings = Omit<TrainSettings, 'lr'> & { lr: number | undefined };

const MASKED = { option: 'estimator', values: ['sparse-cge', 'first-order'] };
const RANDOM = { option: 'estimator', values: ['rge'] };
const DIFFERENCE = { option: 'estimator', values: ['sparse-cge', 'cge', 'rge'] };

/** The ways to spread a sparsity over the layers, apart from a file. */
export const SPREADS: readonly string[] = [...METHODS, 'uniform'];

export const settingsOptions: OptionsOf<GivenSettings> = {
  ...inGroup('Length and learning rate', {
    epochs: option(trainOptions.entries.epochs, {
      help: 'length of the run, fractions included; rounded to steps',
      otherwise: '50, or 40 steps on synthetic data',
    }),
    steps: option(trainOptions.entries.steps, { help: 'length of the run, instead of --epochs' }),
    batchSize: option(v.optional(v.unwrap(trainOptions.entries.batchSize), BATCH_SIZE), {
      help: 'images per step',
      demo: 16,
    }),
    optimizer: option(v.optional(oneOf(['sgd', 'adam']), 'sgd'), { help: 'the rule that moves the weights' }),
    lr: option(v.optional(cosineOptions.entries.peak), {
      help: 'learning rate after the warm-up',
      otherwise:
        '0.1; 1 on synthetic data; with rge 1e-3, or 1e-2 on synthetic data; with first-order 0.1; with adam 1e-3',
    }),
    momentum: option(v.optional(v.unwrap(sgdOptions.entries.momentum), MOMENTUM), {
      help: 'momentum of SGD',
      demo: 0.5,
      requires: { option: 'optimizer', values: ['sgd'] },
    }),
    weightDecay: option(v.optional(v.unwrap(sgdOptions.entries.weightDecay), WEIGHT_DECAY), {
      help: 'strength of the L2 penalty',
    }),
    schedule: option(v.optional(oneOf(['cosine', 'step', 'constant']), 'cosine'), {
      help: 'the learning rate falls along half a cosine, or to a tenth after each third of the run, or stays',
    }),
    warmupEpochs: option(v.optional(v.unwrap(cosineOptions.entries.warmupEpochs)), {
      help: 'epochs in which the learning rate rises',
      otherwise: '3, or a tenth of a run of less than 30 epochs',
      requires: { option: 'schedule', values: ['cosine', 'step'] },
    }),
    seed: seedOption,
  }),
  ...inGroup('Gradient estimate', {
    estimator: option(v.optional(oneOf(['sparse-cge', 'cge', 'rge', 'first-order']), 'sparse-cge'), {
      help: 'finite differences along a random part of the coordinates, along all of them, or along random directions; or, to compare, back-propagation',
    }),
    mu: muOption,
    central: option(cgeOptions.entries.central, {
      help: 'central differences: twice the queries, and an error of order μ² instead of μ',
      requires: DIFFERENCE,
    }),
    sparsity: option(v.optional(v.unwrap(maskOptions.entries.sparsity)), {
      help: 'fraction of the weights whose gradient a step leaves out',
      otherwise: '0.9, or 0.99 for ResNets on synthetic data; with first-order 0',
      requires: MASKED,
    }),
    ratios: option(v.optional(string, 'zo-grasp'), {
      placeholder: 'NAME|FILE',
      help: `how the sparsity is spread over the layers: ${SPREADS.join(', ')}, or as in a file of prune --out`,
      requires: MASKED,
    }),
    redrawEvery: option(maskOptions.entries.redrawEvery, {
      help: 'epochs after which other coordinates are drawn',
      requires: MASKED,
    }),
    queries: option(v.optional(rgeOptions.entries.queries, 192), {
      help: 'random directions per step',
      requires: RANDOM,
    }),
    distribution: option(rgeOptions.entries.distribution, {
      help: 'entries of a direction: standard normal, on the unit sphere, or ±1',
      requires: RANDOM,
    }),
    perTensor: option(rgeOptions.entries.perTensor, {
      help: "scale each tensor's part of a direction to unit length, as the public code does",
      requires: RANDOM,
    }),
    scale: option(rgeOptions.entries.scale, {
      help: 'the mean over directions, or this times the factor that makes it unbiased',
      requires: RANDOM,
    }),
  }),
  ...graspOptions('ratios'),
  ...networkOptions,
  weights: option(v.optional(string), {
    placeholder: 'FILE',
    help: 'weights to start from, with the network of that file if --network is absent',
    otherwise: 'random weights',
    group: 'Network',
  }),
  data: dataOption,
  ...normalisationOptions,
};

/** The options that a resumed run may change. The results so far do not depend on them. */
export const CHANGEABLE = [
  'steps',
  'epochs',
  'lr',
  'schedule',
  'warmupEpochs',
  'momentum',
  'weightDecay',
] as const satisfies (keyof TrainSettings)[];

/** The options of masks and their ratios. */
export const MASK_SETTINGS: readonly (keyof TrainSettings)[] = [
  'mu',
  'ratios',
  'redrawEvery',
  ...(Object.keys(graspOptions('ratios')) as (keyof GraspChoice)[]),
];

/** The settings among a command's values, with absolute paths, the run's length, its learning rate and sparsity decided. */
export function settle(values: GivenSettings, given: Partial<GivenSettings>): TrainSettings {
  const { data, weights, epochs, steps, lr = defaultRate(values) } = values;
  refuseTwoLengths(values);
  const open = epochs === undefined && steps === undefined;
  const settled: TrainSettings = {
    ...values,
    lr,
    network: weights === undefined ? values.network : given.network,
    weights: weights === undefined ? undefined : absolutePath(weights),
    sparsity: values.sparsity ?? (ratiosFrom(values) === 'file' ? undefined : defaultSparsity(values)),
    data: data === 'synthetic' ? data : absolutePath(data),
    steps: open && data === 'synthetic' ? 40 : steps,
    epochs: open && data !== 'synthetic' ? 50 : epochs,
  };
  const names = Object.keys(settingsOptions) as (keyof TrainSettings)[];
  return Object.fromEntries(names.map((name) => [name, settled[name]])) as unknown as TrainSettings;
}

/** The settings of a run that is resumed with other options. */
export function change(settings: TrainSettings, given: Partial<GivenSettings>): TrainSettings {
  refuseTwoLengths(given);
  const changes = Object.fromEntries(
    CHANGEABLE.filter((key) => given[key] !== undefined).map((key) => [key, given[key]]),
  );
  const length = given.epochs === undefined && given.steps === undefined ? {} : { epochs: undefined, steps: undefined };
  const changed: TrainSettings = { ...settings, ...length, ...changes };
  checkRequirements(settingsOptions, changes, changed);
  return changed;
}

function refuseTwoLengths({ epochs, steps }: Partial<GivenSettings>): void {
  if (epochs !== undefined && steps !== undefined) {
    throw new InvalidArgumentError('Expected --epochs or --steps, received both');
  }
}

/**
 * Adam's is the one that its authors advise, SGD's along coordinates and first-order the paper's. Along random directions the
 * square of the estimate is about d/q times that of the gradient, so the rate must be smaller: with 0.1, 1e-2, 1e-3 and 1e-4,
 * 25 steps of ResNet-20 on synthetic data ended at losses of 2.20, 1.79, 2.61 and 2.94.
 */
function defaultRate({ optimizer, estimator, data }: GivenSettings): number {
  if (optimizer === 'adam') return 1e-3;
  if (estimator === 'rge') return data === 'synthetic' ? 1e-2 : 1e-3;
  if (estimator === 'first-order') return 0.1;
  return data === 'synthetic' ? 1 : 0.1;
}

/** The paper's for estimates, where it saves queries. */
function defaultSparsity({ estimator, data, network }: GivenSettings): number {
  if (estimator === 'first-order') return 0;
  return data === 'synthetic' && network !== 'cnn' ? 0.99 : 0.9;
}

/** Where the ratios of the masks come from: a method finds them, a file has them, or they are the same everywhere. */
export function ratiosFrom({
  estimator,
  ratios,
  sparsity,
}: Pick<TrainSettings, 'estimator' | 'ratios' | 'sparsity'>): Method | 'uniform' | 'file' {
  if (!MASKED.values.includes(estimator) || ratios === 'uniform') return 'uniform';
  const method = METHODS.find((known) => known === ratios);
  if (method === undefined) return 'file';
  return estimator === 'first-order' && (sparsity ?? 0) === 0 ? 'uniform' : method;
}

/** The optimizer of a run on a number of images. */
export function makeOptimizer(settings: TrainSettings, images: number): Optimizer {
  const { optimizer, momentum, weightDecay, batchSize, epochs, steps = 1 } = settings;
  const lr = makeSchedule(settings, epochs ?? steps / Math.floor(images / batchSize));
  return optimizer === 'adam' ? adam({ lr, weightDecay }) : sgd({ lr, momentum, weightDecay });
}

function makeSchedule({ schedule, lr, warmupEpochs: given }: TrainSettings, epochs: number): Schedule {
  if (schedule === 'constant') return constant(lr);
  const warmupEpochs = given ?? warmupOf(epochs);
  if (warmupEpochs > epochs) {
    throw expectedOption('warmupEpochs', `at most ${Number(epochs.toPrecision(3))}, the run's length`, String(given));
  }
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

/** `config.json`, written first by `deepzero train`: a folder with this file can be resumed. */
export const configPath = ({ path }: RunFolder): string => configIn(path);

/** `ratios.json`, layer-wise ratios, if the run uses them. */
export const ratiosPath = ({ path }: RunFolder): string => join(path, 'ratios.json');

/** Options that have no value in some runs. */
const OPEN: readonly string[] = [
  ...['network', 'depth', 'width', 'weights', 'mean', 'std'],
  ...['sparsity', 'epochs', 'steps', 'warmupEpochs'],
];

const FORMAT = 1;

/** config.json. An option without a value is null. */
const configFile = v.strictObject({
  format: integer(),
  deepzero: string,
  options: v.strictObject(
    Object.fromEntries(
      Object.entries(settingsOptions).map(([key, { schema }]) => {
        const inner = unwrapped(schema);
        return [key, OPEN.includes(key) ? v.nullable(inner) : inner];
      }),
    ),
  ),
  /** The identities of the data, and a digest of the weights to start from. */
  inputs: v.strictObject({ train: object, test: object, weights: v.nullable(string) }),
  changes: v.array(runChange),
});

export interface RunConfig {
  readonly settings: TrainSettings;
  readonly inputs: v.InferOutput<typeof configFile>['inputs'];
  readonly changes: readonly RunChange[];
}

export async function writeConfig(file: string, { settings, inputs, changes }: RunConfig): Promise<void> {
  const options = Object.fromEntries(Object.entries(settings).map(([key, value]) => [key, (value ?? null) as unknown]));
  const content = { format: FORMAT, deepzero: version, options, inputs, changes };
  await writeFileAtomically(file, `${JSON.stringify(content, undefined, 2)}\n`);
}

/** @throws FileError naming the first entry that is unknown, missing or wrong. */
export async function readConfig(file: string): Promise<RunConfig> {
  const content = await readJson(file);
  checkFormat(file, content, FORMAT);
  const { options, inputs, changes } = parseContent(configFile, content, file);
  const settings = Object.fromEntries(
    Object.entries(options).map(([key, value]) => [key, value ?? undefined]),
  ) as unknown as TrainSettings;
  const { epochs, steps } = settings;
  if ((epochs === undefined) === (steps === undefined)) {
    throw new FileError(file, 'expected one of options.epochs and options.steps to be null');
  }
  return { settings, inputs, changes };
}

/** The options that a resumed run may change, as they are written on the command line. */
export const changeable = (): string => CHANGEABLE.map(dashed).join(', ');
