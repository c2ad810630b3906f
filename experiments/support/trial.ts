/**
 * The training runs of an experiment: each has a folder, is resumed where it stopped and is never repeated.
 *
 * @module
 */
import { join } from 'node:path';

import type { Dataset, Estimator, EvaluateResult, ImageDatasets, Network, Optimizer, TrainStep } from 'deepzero';
import { describeMachine, machine, Model, NonFiniteLossError, RunFolder, train } from 'deepzero';
import * as v from 'valibot';

import { duration } from '../../bench/support/output.js';
import { mean, sum } from '../../bench/support/statistics.js';
import type { CacheFile } from './cache.js';
import { cached, exists } from './cache.js';
import { joinMachines } from './machines.js';
import type { Surroundings } from './report.js';

/** The settings that all runs of an experiment on images share. */
export interface Context extends Surroundings {
  readonly data: ImageDatasets;
  readonly batchSize: number;
  readonly memory: number | undefined;
}

/** A run to make. */
export interface Trial {
  /** The name of its folder. */
  readonly key: string;
  readonly network: Network;
  readonly seed: number;
  /** For the model with its initial weights; long computations can be cached in the run's folder. */
  readonly estimator: (model: Model, folder: RunFolder, context: Context) => Promise<Estimator> | Estimator;
  /** Used unless the estimator works with an optimizer of its own only. */
  readonly optimizer: Optimizer;
  readonly length: { epochs: number } | { steps: number };
  /** Steps from one test to the next; default: those of an epoch. */
  readonly testEvery?: number;
}

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const finite = v.pipe(v.number(), v.finite());

/** Means over the steps since the previous test, and the accuracy on the test images after them. */
const segmentSchema = v.strictObject({
  /** Done so far, and their loss evaluations. */
  steps: count,
  queries: count,
  loss: finite,
  accuracy: finite,
  testAccuracy: finite,
});
export type Segment = v.InferOutput<typeof segmentSchema>;

const resultSchema = v.strictObject({
  steps: count,
  /** Loss evaluations, and the time of all steps. */
  queries: count,
  seconds: finite,
  /** Mean training loss of the last tenth of the steps. */
  loss: finite,
  testAccuracy: finite,
  testLoss: finite,
  learningCurve: v.array(segmentSchema),
  /** Where the times were measured: several machines, if the run was stopped and continued elsewhere. */
  machine: v.string(),
});
export type TrialResult = v.InferOutput<typeof resultSchema>;

/** Why a run ended early: its loss was not finite. */
const divergenceSchema = v.strictObject({ diverged: v.string(), machine: v.string() });
export type Divergence = v.InferOutput<typeof divergenceSchema>;

/** `result.json` of a run's folder. */
const outcomeSchema = v.lazy((content) =>
  typeof content === 'object' && content !== null && 'diverged' in content ? divergenceSchema : resultSchema,
);

const resultOf = (folder: string): CacheFile<TrialResult | Divergence> => ({
  path: join(folder, 'result.json'),
  schema: outcomeSchema,
});

/** `trial.json`, written first: it refuses to continue the run under other options. */
const startOf = (folder: string): CacheFile<object> => ({
  path: join(folder, 'trial.json'),
  schema: v.strictObject({}),
});

/** A data set in the options of a cached result. */
export function datasetConfig({ name, count: images, identity }: Dataset): object {
  return { name, count: images, ...identity };
}

/** Whether a run is done, so that `runTrial` only reads its result. */
export async function isDone({ key }: Trial, { out }: Context): Promise<boolean> {
  return await exists(resultOf(join(out, key)).path);
}

/** Makes a run, or the steps that are left of it, or reads its result if it is done. */
export async function runTrial(trial: Trial, context: Context): Promise<TrialResult | Divergence> {
  const { data, batchSize, signal, threads, memory } = context;
  const { key, network, seed, testEvery } = trial;
  await using folder = await RunFolder.open(join(context.out, key));
  using model = new Model(network, { seed, threads, memory });
  // ZO-GraSP, for example, evaluates losses before the run.
  const estimator = await orDivergence(context, async () => await trial.estimator(model, folder, context));
  if ('diverged' in estimator) return estimator;
  const run = train(model, data.train, {
    ...{ estimator, optimizer: estimator.optimizer ?? trial.optimizer, ...trial.length },
    ...{ batchSize, seed, folder, test: data.test, signal, ...(testEvery !== undefined && { testEvery }) },
  });
  const options = { ...run.config, test: datasetConfig(data.test), testEvery };
  return await cached(resultOf(folder.path), options, async () => {
    await cached(startOf(folder.path), options, () => Promise.resolve({}));
    await run.resume();
    const { isa } = machine();
    if (run.resumedIsa !== undefined && run.resumedIsa !== isa) {
      const resumed = `The run was saved under ${run.resumedIsa} and goes on under ${isa}`;
      context.onNote(`${key}: ${resumed}: its results may differ in the last bits (DEEPZERO_ISA chooses).`);
    }
    return await orDivergence(context, async () => {
      for await (const { loss, seconds } of run) {
        if (run.step === run.totalSteps) continue;
        const left = duration((run.totalSteps - run.step) * seconds);
        context.onStatus(`${left} to go, loss ${loss.toFixed(3)}, step ${run.step} of ${run.totalSteps} of ${key}`);
      }
      const log = await folder.steps();
      const test = log.at(-1)!.test!;
      await model.save(folder.weights);
      return summaryOf(test, log);
    });
  });
}

async function orDivergence<T>(context: Context, compute: () => Promise<T>): Promise<T | Divergence> {
  try {
    return await compute();
  } catch (error) {
    if (error instanceof NonFiniteLossError) return { diverged: error.message, machine: describeMachine(context) };
    throw error;
  }
}

function summaryOf(test: EvaluateResult, log: readonly TrainStep[]): TrialResult {
  return {
    ...totalsOf(log),
    testAccuracy: test.accuracy!,
    testLoss: test.loss,
    learningCurve: learningCurveOf(log, test),
  };
}

/** What a run's log says of all its steps. */
export function totalsOf(log: readonly TrainStep[]) {
  const last = log.slice(-Math.ceil(log.length / 10));
  return {
    steps: log.length,
    queries: sum(log.map(({ queries }) => queries)),
    seconds: sum(log.map(({ seconds }) => seconds)),
    loss: mean(last.map(({ loss }) => loss)),
    machine: joinMachines(log.flatMap((step) => step.machine ?? [])),
  };
}

/** From test to test; the end is tested like any other step. */
function learningCurveOf(log: readonly TrainStep[], end: EvaluateResult): Segment[] {
  const curve: Segment[] = [];
  let queries = 0;
  let since: TrainStep[] = [];
  for (const [i, step] of log.entries()) {
    queries += step.queries;
    since.push(step);
    const test = i === log.length - 1 ? end : step.test;
    if (!test) continue;
    curve.push({
      ...{ steps: i + 1, queries },
      loss: mean(since.map(({ loss }) => loss)),
      accuracy: mean(since.map(({ accuracy }) => accuracy!)),
      testAccuracy: test.accuracy!,
    });
    since = [];
  }
  return curve;
}
