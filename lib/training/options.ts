/**
 * What a training run is asked for, checked and with its defaults.
 *
 * @module
 */
import { isDeepStrictEqual } from 'node:util';

import * as check from '../support/check.js';
import type { Dataset } from '../data/dataset.js';
import { describeDataset, ImageDataset } from '../data/dataset.js';
import type { Estimator } from '../estimators/estimator.js';
import { checkCallOptions } from '../native/jobs.js';
import type { CallOptions } from '../native/jobs.js';
import type { Model } from '../model/model.js';
import type { Optimizer } from '../optimizers/optimizers.js';
import { BATCH_SIZE } from '../paper.js';
import { checkBatchSize, checkDataset } from '../model/problem.js';

export interface TrainOptions extends Omit<CallOptions, 'step'> {
  /** How the gradient is estimated: `cge`, `rge`, a baseline such as `firstOrder`, or your own. */
  estimator: Estimator;
  /** How parameters move along it: `sgd`, `adam` or your own; the estimator's, if it admits but one. */
  optimizer: Optimizer;
  /** Length of the run in epochs, > 0 and not necessarily whole (rounded to steps, at least one); either this or `steps`. */
  epochs?: number | undefined;
  /** Length of the run in steps, an integer >= 1. */
  steps?: number | undefined;
  /** Images per step, from 1 to the data set's count; default 256. */
  batchSize?: number;
  /** Fixes order of images, augmentation, masks and directions; an integer >= 0, default 0. */
  seed?: number;
  /** Crops and flips images at random; default true for an `ImageDataset`, false for others. */
  augment?: boolean;
  /** A checkpoint to go on from, written by `save` in a run with the same options. */
  resume?: string | undefined;
}

/** A run's options with nothing left open. */
export interface TrainPlan extends CallOptions {
  readonly estimator: Estimator;
  readonly optimizer: Optimizer;
  readonly batchSize: number;
  readonly seed: number;
  readonly augment: boolean;
  readonly resume: string | undefined;
  readonly queriesPerStep: number;
  readonly stepsPerEpoch: number;
  readonly totalSteps: number;
  /** Every option that the results depend on, as JSON, for checkpoints. */
  readonly config: object;
}

const KNOWN = [
  'estimator',
  'optimizer',
  'epochs',
  'steps',
  'batchSize',
  'seed',
  'augment',
  'resume',
  'signal',
  'onProgress',
] as const;

/** Checks a run's options against its model and data, before anything is computed. */
export function planTraining(model: Model, dataset: Dataset, options: TrainOptions): TrainPlan {
  checkDataset(dataset, model);
  const {
    estimator,
    optimizer,
    epochs,
    steps,
    batchSize = BATCH_SIZE,
    seed = 0,
    augment = dataset instanceof ImageDataset,
    resume,
    signal,
    onProgress,
  } = check.options<TrainOptions>(options, 'train', KNOWN);
  checkPart(estimator, 'estimator', ['estimate', 'queriesPerStep', 'sample'], 'cge(…) or rge(…)');
  checkPart(optimizer, 'optimizer', ['init', 'update'], 'sgd(…) or adam(…)');
  checkPart(optimizer.lr, 'optimizer.lr', ['at'], 'constant(…) or cosine(…)');
  checkMove(estimator, optimizer);
  checkBatchSize(batchSize, dataset, check.unlessGiven('batchSize', options.batchSize, batchSize));
  checkCallOptions({ signal, onProgress });
  if ((epochs === undefined) === (steps === undefined)) {
    const received = epochs === undefined ? 'neither' : 'both';
    throw new check.InvalidArgumentError(`Expected either epochs or steps, received ${received}`);
  }
  const stepsPerEpoch = Math.floor(dataset.count / batchSize);
  return {
    estimator,
    optimizer,
    batchSize,
    seed: check.integer(seed, 'seed'),
    augment: check.boolean(augment, 'augment'),
    resume: resume === undefined ? undefined : check.string(resume, 'resume'),
    signal,
    onProgress,
    queriesPerStep: check.integer(estimator.queriesPerStep(model), "the estimator's queriesPerStep"),
    stepsPerEpoch,
    totalSteps:
      epochs === undefined
        ? check.integer(steps, 'steps', 1)
        : Math.max(1, Math.round(check.positive(epochs, 'epochs') * stepsPerEpoch)),
    config: {
      network: model.network,
      loss: model.loss,
      dataset: describeDataset(dataset),
      estimator: estimator.config,
      optimizer: optimizer.config,
      ...{ epochs, steps, batchSize, seed, augment },
    },
  };
}

/** Either may be the user's own. */
function checkPart(value: unknown, what: string, methods: readonly string[], examples: string): void {
  if (!check.isObject(value)) throw check.expected(what, `one such as ${examples}`, value);
  for (const method of methods) {
    const own = value[method];
    if (typeof own !== 'function') throw check.expected(`${what}.${method}`, `a function, as that of ${examples}`, own);
  }
  if (!isJsonObject(value['config'])) {
    throw check.expected(`${what}.config`, 'an object, kind and options as JSON', value['config']);
  }
}

function isJsonObject(value: unknown): boolean {
  try {
    JSON.stringify(value);
  } catch {
    return false;
  }
  return check.isObject(value);
}

function checkMove({ optimizer: own }: Estimator, optimizer: Optimizer): void {
  if (!own || isDeepStrictEqual(own.config, optimizer.config)) return;
  const [only, received] = [own, optimizer].map(({ config }) => JSON.stringify(config));
  throw new check.InvalidArgumentError(
    `Expected optimizer to be ${only}, which alone moves as this estimator means, received ${received}`,
  );
}
