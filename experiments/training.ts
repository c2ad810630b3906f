/**
 * The training runs that an experiment is made of: each in a folder of its own, resumed where it stopped and never run twice.
 *
 * @module
 */
import { join } from 'node:path';

import type { ImageDatasets } from '../lib/data/cifar10.js';
import type { Estimator } from '../lib/estimators/estimator.js';
import { exists } from '../lib/support/files.js';
import { NonFiniteLossError } from '../lib/model/non-finite.js';
import type { EvaluateResult } from '../lib/model/options.js';
import { Model } from '../lib/model/model.js';
import type { Network } from '../lib/network/description.js';
import type { Optimizer } from '../lib/optimizers/optimizers.js';
import { RunFolder } from '../lib/training/folder.js';
import { train } from '../lib/training/train.js';
import type { TrainStep } from '../lib/training/log.js';
import { mean, sum } from '../lib/support/statistics.js';
import { kept } from './kept.js';
import { duration } from '../lib/support/words.js';
import { machineInWords, machinesInWords, ofOtherIsa } from '../lib/native/machine.js';

/** What every run of an experiment shares. */
export interface Laboratory {
  readonly data: ImageDatasets;
  /** The experiment's folder. */
  readonly out: string;
  readonly batchSize: number;
  readonly threads: number;
  readonly memory: number | undefined;
  readonly signal: AbortSignal;
  /** Told how far the run in progress is. */
  readonly onStatus: (text: string) => void;
  /** Told what is to be known of a run before it goes on. */
  readonly onNote: (text: string) => void;
}

/** A run that is to be made. */
export interface Trial {
  /** Names its folder. */
  readonly key: string;
  readonly network: Network;
  readonly seed: number;
  /** For the model with its initial weights; what is long to compute can be kept in the run's folder. */
  readonly estimator: (model: Model, folder: RunFolder, laboratory: Laboratory) => Promise<Estimator> | Estimator;
  /** Unless the estimator makes moves of its own, which one optimizer alone makes. */
  readonly optimizer: Optimizer;
  readonly length: { epochs: number } | { steps: number };
  /** Steps after which the model is tested: an epoch's unless given. */
  readonly testEvery?: number;
}

/** Means over the steps since the last test, and what the model then does on the test images. */
export interface Stretch {
  /** Done so far, and their loss evaluations. */
  steps: number;
  queries: number;
  loss: number;
  accuracy: number;
  testAccuracy: number;
}

export interface TrialResult {
  steps: number;
  /** Loss evaluations, and the time that all steps took. */
  queries: number;
  seconds: number;
  /** Mean training loss of the last tenth of the steps. */
  loss: number;
  testAccuracy: number;
  testLoss: number;
  course: Stretch[];
  /** What the times are of: several, if it was stopped and went on elsewhere. */
  machine: string;
}

/** What ended a run before its time: its loss was not finite. */
export interface Divergence {
  readonly diverged: string;
  /** Where. */
  readonly machine: string;
}

const resultIn = (folder: RunFolder): string => join(folder.path, 'result.json');

/** Whether a run is done, so that making it is to read it. */
export async function isDone({ key }: Trial, { out }: Laboratory): Promise<boolean> {
  return await exists(resultIn(new RunFolder(join(out, key))));
}

/** Makes a run, or what is left of it, or reads what it came to if it is done. */
export async function runTrial(trial: Trial, laboratory: Laboratory): Promise<TrialResult | Divergence> {
  const { data, batchSize, signal, threads, memory } = laboratory;
  const { key, network, seed } = trial;
  await using folder = await RunFolder.open(join(laboratory.out, key));
  using model = new Model(network, { seed, threads, memory });
  // ZO-GraSP, say, evaluates losses before there is a run.
  const estimator = await orDivergence(laboratory, async () => await trial.estimator(model, folder, laboratory));
  if ('diverged' in estimator) return estimator;
  const { testEvery } = trial;
  const run = train(model, data.train, {
    estimator,
    optimizer: estimator.optimizer ?? trial.optimizer,
    ...trial.length,
    ...{ batchSize, seed, folder, test: data.test, testEvery, signal },
  });
  const under = { ...run.config, testEvery };
  return await kept(resultIn(folder), under, async () => {
    await kept(join(folder.path, 'trial.json'), under, () => Promise.resolve({}));
    await run.resume();
    const note = ofOtherIsa(run);
    if (note !== undefined) laboratory.onNote(`${key}: ${note}`);
    return await orDivergence(laboratory, async () => {
      for await (const { loss, seconds } of run) {
        if (run.step === run.totalSteps) continue;
        const left = duration((run.totalSteps - run.step) * seconds);
        laboratory.onStatus(`${left} to go, loss ${loss.toFixed(3)}, step ${run.step} of ${run.totalSteps} of ${key}`);
      }
      const log = await folder.steps();
      const test = log.at(-1)!.test ?? (await model.evaluate(data.test, { signal, batchSize }));
      await model.save(folder.weights);
      return resultOf(test, log);
    });
  });
}

async function orDivergence<T>(laboratory: Laboratory, compute: () => Promise<T>): Promise<T | Divergence> {
  try {
    return await compute();
  } catch (error) {
    if (error instanceof NonFiniteLossError) return { diverged: error.message, machine: machineInWords(laboratory) };
    throw error;
  }
}

function resultOf(test: EvaluateResult, log: readonly TrainStep[]): TrialResult {
  const last = log.slice(-Math.ceil(log.length / 10));
  return {
    steps: log.length,
    queries: sum(log.map(({ queries }) => queries)),
    seconds: sum(log.map(({ seconds }) => seconds)),
    loss: mean(last.map(({ loss }) => loss)),
    testAccuracy: test.accuracy!,
    testLoss: test.loss,
    course: courseOf(log, test),
    machine: machinesInWords(log.flatMap(({ machine = [] }) => machine)),
  };
}

/** From test to test; the end is tested like any other. */
function courseOf(log: readonly TrainStep[], end: EvaluateResult): Stretch[] {
  const course: Stretch[] = [];
  let queries = 0;
  let since: TrainStep[] = [];
  for (const [i, step] of log.entries()) {
    queries += step.queries;
    since.push(step);
    const test = i === log.length - 1 ? end : step.test;
    if (!test) continue;
    course.push({
      ...{ steps: i + 1, queries },
      loss: mean(since.map(({ loss }) => loss)),
      accuracy: mean(since.map(({ accuracy }) => accuracy ?? NaN)),
      testAccuracy: test.accuracy!,
    });
    since = [];
  }
  return course;
}
