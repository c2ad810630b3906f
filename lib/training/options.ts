/**
 * The options of a training run, checked and with their defaults.
 *
 * @module
 */
import { isDeepStrictEqual } from 'node:util';

import * as v from 'valibot';

import type { Dataset } from '../data/dataset.js';
import { describeDataset, ImageDataset } from '../data/dataset.js';
import type { Estimator } from '../estimators/estimator.js';
import { nameOfLoss } from '../model/losses.js';
import type { Model } from '../model/model.js';
import { checkBatchSize, checkDataset } from '../model/problem.js';
import type { CallOptions } from '../native/jobs.js';
import type { Optimizer } from '../optimizers/optimizers.js';
import { BATCH_SIZE } from '../paper.js';
import { InvalidArgumentError, show } from '../support/errors.js';
import * as schema from '../support/schema.js';
import { expected, expectedOption, isObject } from '../support/schema.js';
import type { RunConfig } from './checkpoint.js';
import { totalSteps } from './checkpoint.js';
import { RunFolder } from './folder.js';

/** An estimator as an option; `checkParts` checks its methods. */
export const estimatorPart = schema.leaf<Estimator>('other', 'one such as cge(…) or rge(…)', isObject);
export const optimizerPart = schema.leaf<Optimizer>('other', 'one such as sgd(…) or adam(…)', isObject);
const custom = <T>(constraint: string): schema.Leaf<T> => schema.leaf<T>('other', constraint, isObject);
/** An open folder as an option. */
export const openFolder = schema.leaf<RunFolder>(
  'other',
  'a RunFolder that is open, from RunFolder.open(…)',
  (value) => value instanceof RunFolder && value.isOpen,
);

export const trainOptions = v.strictObject({
  /** How the gradient is estimated: `cge`, `rge`, a baseline such as `firstOrder`, or a custom estimator. */
  estimator: estimatorPart,
  /** How parameters move along the gradient: `sgd`, `adam` or a custom optimizer. Some estimators require a particular one. */
  optimizer: optimizerPart,
  /** Length of the run in epochs, > 0; fractions are rounded to steps, at least one. Either this or `steps`. */
  epochs: v.optional(schema.positive),
  /** Length of the run in steps, an integer >= 1. */
  steps: v.optional(schema.integer(1)),
  /** Images per step, an integer >= 1 and at most the data set's count; default: 256. */
  batchSize: v.optional(schema.integer(1)),
  /** Fixes order of images, augmentation, masks and directions; an integer from 0 to 2⁵³ − 1, default: 0. */
  seed: v.optional(schema.seed, 0),
  /** Crops and flips images at random; default: true for an `ImageDataset`, false for others. */
  augment: v.optional(schema.boolean),
  /** Images to test on after every `testEvery` steps and after the last one. */
  test: v.optional(custom<Dataset>('an object')),
  /** Steps between tests, an integer >= 1; default: the steps of an epoch. */
  testEvery: v.optional(schema.integer(1)),
  /** A checkpoint that `save` wrote, to go on from. */
  resume: v.optional(schema.string),
  /**
   * A folder for log, checkpoints and what `RunFolder` lists, instead of `resume` and `save`: if it holds a checkpoint, the run goes on from there. A
   * step is in the log before the run yields it. A checkpoint is written after the first step and where a test is due, when the last
   * one is older than `checkpointEvery` or than the run was when it was written, at the end, when the run is aborted and when the
   * loop over it is left.
   */
  folder: v.optional(openFolder),
  /**
   * Whether the folder also receives an event file of TensorBoard, with every step once, also after resumptions; default: whether it
   * has one. Requires `folder`.
   */
  tensorboard: v.optional(schema.boolean),
  /** The age in seconds of the last checkpoint at which a step is followed by another, >= 0; default: 60. With 0 every step is. */
  checkpointEvery: v.optional(schema.nonNegative, 60),
  /**
   * Whether a resumed run may have another length (`steps` or `epochs`) and other options of its optimizer, of the same kind,
   * than the checkpoint; default: false, an error. The results so far depend on all other options, which cannot change. The
   * run then goes on at its position under the new options: a schedule gives the learning rate that it has at that step of a
   * run of the new length. `changes` of the run lists what changed.
   */
  mayChange: v.optional(schema.boolean, false),
  /** Aborting ends the run at its last finished step: iteration rejects with the signal's reason. */
  signal: v.optional(schema.abortSignal),
  /** Called at most every 50 ms with the queries done and in all of a step. */
  onProgress: v.optional(schema.callback<(done: number, total: number) => void>()),
});

/** The options of `train`. */
export interface TrainOptions extends v.InferInput<typeof trainOptions> {}

/** The options of a run with every default filled in. */
export interface TrainPlan extends Pick<CallOptions, 'signal' | 'onProgress'> {
  readonly estimator: Estimator;
  readonly optimizer: Optimizer;
  readonly batchSize: number;
  readonly seed: number;
  readonly augment: boolean;
  readonly test: Dataset | undefined;
  readonly testEvery: number;
  readonly resume: string | undefined;
  readonly folder: RunFolder | undefined;
  readonly tensorboard: boolean | undefined;
  readonly checkpointEvery: number;
  readonly mayChange: boolean;
  readonly queriesPerStep: number;
  readonly stepsPerEpoch: number;
  readonly totalSteps: number;
  /** The option that gave the length. */
  readonly lengthOption: 'steps' | 'epochs';
  readonly config: RunConfig;
}

/** Checks a run's options against its model and data, before anything is computed. */
export function planTraining(model: Model, dataset: Dataset, options: TrainOptions): TrainPlan {
  checkDataset(dataset, model);
  const {
    augment = dataset instanceof ImageDataset,
    batchSize = BATCH_SIZE,
    ...given
  } = schema.parseOptions(trainOptions, options, 'train');
  const { estimator, optimizer, epochs, steps, seed, test, resume, folder, signal, onProgress } = given;
  checkParts(estimator, optimizer);
  checkBatchSize(
    batchSize,
    dataset,
    options.batchSize === undefined ? `batchSize (default: ${batchSize})` : 'batchSize',
  );
  if (test) checkDataset(test, model);
  if ((epochs === undefined) === (steps === undefined)) {
    const received = epochs === undefined ? 'neither' : 'both';
    throw new InvalidArgumentError(`Expected either epochs or steps, received ${received}`);
  }
  if (resume !== undefined && folder) throw new InvalidArgumentError('Expected either resume or folder, received both');
  if (given.tensorboard === true && !folder) throw expectedOption('tensorboard', 'beside folder', 'no folder');
  const stepsPerEpoch = Math.floor(dataset.count / batchSize);
  const length = steps ?? totalSteps(epochs!, dataset.count, batchSize);
  const { testEvery = stepsPerEpoch, checkpointEvery, mayChange, tensorboard } = given;
  return {
    ...{ estimator, optimizer, batchSize, seed, augment, test, testEvery, resume, folder, checkpointEvery, mayChange },
    ...{ signal, onProgress, stepsPerEpoch, tensorboard },
    totalSteps: length,
    lengthOption: steps === undefined ? 'epochs' : 'steps',
    queriesPerStep: schema.checked(schema.integer(), estimator.queriesPerStep(model), "the estimator's queriesPerStep"),
    config: {
      network: model.network,
      loss: nameOfLoss(model.loss),
      dataset: describeDataset(dataset),
      estimator: estimator.config,
      optimizer: optimizer.config,
      ...{ steps: length, batchSize, seed, augment },
    },
  };
}

/** Refuses a custom estimator, optimizer or schedule that lacks something, and an optimizer that the estimator does not work with. */
export function checkParts(estimator: Estimator, optimizer: Optimizer): void {
  checkPart(estimator, 'estimator', ['estimate', 'queriesPerStep', 'sample'], 'cge(…) or rge(…)');
  checkPart(optimizer, 'optimizer', ['init', 'update'], 'sgd(…) or adam(…)');
  checkPart(optimizer.lr, 'optimizer.lr', ['at'], 'constant(…) or cosine(…)');
  checkOptimizer(estimator, optimizer);
}

function checkPart(value: unknown, what: string, methods: readonly string[], examples: string): void {
  if (!isObject(value)) throw expectedOption(what, `one such as ${examples}`, show(value));
  for (const method of methods) {
    const found = value[method];
    if (typeof found !== 'function') throw expected(`${what}.${method}`, `a function, as that of ${examples}`, found);
  }
  if (!isJsonObject(value['config'])) {
    throw expected(`${what}.config`, 'an object, kind and options as JSON', value['config']);
  }
}

function isJsonObject(value: unknown): boolean {
  try {
    JSON.stringify(value);
  } catch {
    return false;
  }
  return isObject(value);
}

function checkOptimizer({ optimizer: own }: Estimator, optimizer: Optimizer): void {
  if (!own || isDeepStrictEqual(own.config, optimizer.config)) return;
  const [only, received] = [own, optimizer].map(({ config }) => JSON.stringify(config));
  throw expectedOption('optimizer', `${only}, the only one that this estimator works with`, received!);
}
