/**
 * One run of `deepzero train`: its cost, its ratios, its steps with their progress, and its end.
 *
 * @module
 */
import { isDeepStrictEqual } from 'node:util';

import type { ImageDatasets } from '../../data/cifar10.js';
import type { LayerRatios } from '../../estimators/masks.js';
import type { Model } from '../../model/model.js';
import { ofOtherIsa } from '../../native/machine.js';
import type { Optimizer } from '../../optimizers/optimizers.js';
import { InvalidArgumentError, nearest } from '../../support/errors.js';
import { exists } from '../../support/files.js';
import { expected } from '../../support/schema.js';
import { mean } from '../../support/statistics.js';
import { formatDuration } from '../../support/duration.js';
import type { RunChange } from '../../training/checkpoint.js';
import type { TrainCost } from '../../training/cost.js';
import type { RunFolder } from '../../training/folder.js';
import type { TrainStep } from '../../training/log.js';
import { countSteps } from '../../training/log.js';
import { differences } from '../../support/differences.js';
import type { TrainRun } from '../../training/train.js';
import { train } from '../../training/train.js';
import type { Output } from '../output.js';
import { counted, grouped, percent } from '../output.js';
import type { FoundBy } from '../prune.js';
import { checkSamples, findRatios, ratioTable, readRatios, writeRatios } from '../prune.js';
import { ProgressMeter, showSteps } from './progress.js';
import type { RunConfig, TrainSettings } from './settings.js';
import { configPath, makeEstimator, ratiosPath, ratiosFrom, SPREADS, writeConfig } from './settings.js';

/** Everything that a run needs. */
export interface Session {
  readonly config: RunConfig;
  readonly model: Model;
  readonly data: ImageDatasets;
  readonly optimizer: Optimizer;
  /** Seconds. */
  readonly checkpointEvery: number;
  /** Whether to write TensorBoard's event files. */
  readonly tensorboard: boolean;
  /** Whether the command gives options that a resumed run may change. */
  readonly changed: boolean;
  readonly output: Output;
  readonly signal: AbortSignal;
}

/** Trains to the end, from the folder's checkpoint if it has one. */
export async function trainIn(folder: RunFolder, session: Session): Promise<object> {
  const { config, model, changed, output, signal } = session;
  const begun = performance.now();
  const resumed = await exists(folder.checkpoint);
  const known = await knownRatios(session, folder);
  let meter = new ProgressMeter(0);
  const onProgress = (run: TrainRun, within: number): void => {
    output.status(meter.line(run.step, within), { change: 'small', fraction: meter.fraction(run.step, within) });
  };
  let run = makeRun(session, known, { folder }, onProgress);
  const made = await run.resume();
  // Opening the log for the next step drops what the checkpoint does not have.
  if (resumed) output.line(whereFrom(run, (await exists(folder.log)) ? await countSteps(folder.log) : 0));
  // A checkpoint has no changes that were made after it: a run killed before its next one makes them again.
  if (changed || !isDeepStrictEqual(run.changes, config.changes)) {
    await writeConfig(configPath(folder), { ...config, changes: run.changes });
  }
  sayChanges(made, output);
  const note = ofOtherIsa(run);
  if (note !== undefined) output.line(note);
  let cost = await sayCost(run, output, known === undefined ? 'Cost with the same sparsity in every layer' : 'Cost');
  if (known === undefined) {
    run = makeRun(session, await prune(session, folder), { folder }, onProgress);
    cost = await sayCost(run, output, 'Cost with these ratios');
  }
  const { secondsPerStep } = cost;
  meter = new ProgressMeter(run.totalSteps, { secondsPerStep, shareOf: await run.timeShares() });
  try {
    await showSteps(run, meter, output);
  } catch (error) {
    if (error === signal.reason) {
      const done = `${grouped(run.step)} of ${counted(run.totalSteps, 'step')} are done and saved`;
      output.line(`${done}; a step in progress is not kept.`);
    }
    throw error;
  }
  await model.save(folder.weights);
  const log = await folder.steps();
  const test = log.at(-1)!.test!;
  const seconds = (performance.now() - begun) / 1000;
  const loss = lossesAtEnds(log);
  const first = `${loss.first.toFixed(3)} in the first steps`;
  output.line(`\nloss ${first}, ${loss.last.toFixed(3)} in the last (means of ${loss.count})`);
  const time = `${formatDuration(seconds)}${resumed ? ' since the run was resumed' : ''}`;
  output.line(`test accuracy ${percent(test.accuracy ?? NaN)}, test loss ${test.loss.toFixed(3)}; ${time}`);
  output.line(`weights in ${folder.weights}`);
  return { out: folder.path, steps: run.step, seconds, loss, test, weights: folder.weights };
}

/** From which step a run goes on, given the number of those in its log. */
function whereFrom({ step, totalSteps }: TrainRun, logged: number): string {
  const position = `Going on after ${grouped(step)} of ${counted(totalSteps, 'step')}`;
  const lost = logged - step;
  if (lost <= 0) return `${position}.`;
  const again = lost === 1 ? 'the step after it is made again' : `the ${grouped(lost)} steps after it are made again`;
  return `${position}, from the checkpoint; ${again}.`;
}

/** Predicts the cost of a new run, or of the rest of the one in a folder, and writes nothing. */
export async function predict(session: Session, old: RunFolder | undefined): Promise<object> {
  const { config, model, output } = session;
  const known = old ? await knownRatios(session, old) : await givenRatios(session);
  const resume = old && (await exists(old.checkpoint)) ? old.checkpoint : undefined;
  const run = makeRun(session, known, { resume });
  sayChanges(await run.resume(), output);
  const cost = await sayCost(run, output, known === undefined ? 'Cost with the same sparsity in every layer' : 'Cost');
  if (known === undefined) {
    output.line(
      `Before its first step, the run would find ratios by ${ratiosFrom(config.settings)}; the cost depends on them.`,
    );
  }
  sayRanks(cost, model.threads, output);
  output.line('Dry run: nothing is written.');
  return { dryRun: true, ...cost };
}

/**
 * The sparsity or the ratios that a new run is given; undefined if a method is to find them.
 *
 * @throws InvalidArgumentError if there is no such file, or the method needs more images.
 */
export async function givenRatios({ config, model, data }: Session): Promise<number | LayerRatios | undefined> {
  const { settings } = config;
  const source = ratiosFrom(settings);
  if (source === 'uniform') return settings.sparsity ?? 0;
  if (source !== 'file') {
    checkSamples(source, settings, data.train);
    return undefined;
  }
  if (await exists(settings.ratios)) return readRatios(settings.ratios, model);
  const { message } = expected('--ratios', `one of ${SPREADS.join(', ')}, or a file that exists`, settings.ratios);
  throw new InvalidArgumentError(message + nearest(settings.ratios, SPREADS));
}

/** The sparsity or the ratios of a run in a folder; undefined if a method is to find them. */
async function knownRatios({ config, model }: Session, folder: RunFolder): Promise<number | LayerRatios | undefined> {
  const { settings } = config;
  const source = ratiosFrom(settings);
  if (source === 'uniform') return settings.sparsity ?? 0;
  // A run that has made steps has ratios: without their file it cannot go on, and reading says so.
  const found = (await exists(ratiosPath(folder))) || (await exists(folder.checkpoint));
  if (source !== 'file' && !found) return undefined;
  return readRatios(ratiosPath(folder), model, foundBy(settings));
}

/** The options that found the ratios of a run, unless they were given. */
function foundBy(settings: TrainSettings): FoundBy | undefined {
  const method = ratiosFrom(settings);
  if (method === 'file' || method === 'uniform') return undefined;
  const {
    sparsity = 0,
    mu,
    seed,
    graspQueries,
    samplesPerClass,
    graspDirections,
    graspRank,
    graspPerTensor,
  } = settings;
  return { method, sparsity, mu, seed, graspQueries, samplesPerClass, graspDirections, graspRank, graspPerTensor };
}

async function prune(session: Session, folder: RunFolder): Promise<LayerRatios> {
  const { config, model, data, output } = session;
  const by = foundBy(config.settings)!;
  const ratios = await findRatios(by.method, model, data.train, by, session);
  await writeRatios(ratiosPath(folder), { ...by, ratios });
  output.line(`${ratioTable(model, ratios)}\n`);
  return ratios;
}

function makeRun(
  session: Session,
  ratios: number | LayerRatios | undefined,
  place: { folder: RunFolder } | { resume: string | undefined },
  onProgress?: (run: TrainRun, within: number) => void,
): TrainRun {
  const { config, model, data, optimizer, checkpointEvery, tensorboard, changed, signal } = session;
  const { batchSize, seed, epochs, steps = 1, sparsity = 0 } = config.settings;
  const run: TrainRun = train(model, data.train, {
    estimator: makeEstimator(config.settings, ratios ?? sparsity),
    optimizer,
    ...(epochs === undefined ? { steps } : { epochs }),
    ...place,
    ...('folder' in place && tensorboard && { tensorboard }),
    ...{ test: data.test, batchSize, seed, checkpointEvery, signal },
    mayChange: changed || config.changes.length > 0,
    onProgress: (done, total) => onProgress?.(run, done / total),
  });
  return run;
}

function sayChanges(changes: readonly RunChange[], output: Output): void {
  for (const { step, option, from, to } of changes) {
    for (const { path, saved, given } of differences(from, to, option)) {
      output.line(`Changed after ${counted(step, 'step')}: ${path} from ${saved} to ${given}`);
    }
  }
}

async function sayCost(run: TrainRun, output: Output, title: string): Promise<TrainCost> {
  const cost = await run.estimateCost();
  const { queriesPerStep, secondsPerStep, steps, hours } = cost;
  if (steps === 0) {
    output.line('All steps are done.');
    return cost;
  }
  const queries = queriesPerStep === 1 ? '1 query' : `${grouped(queriesPerStep)} queries`;
  const all = `${counted(steps, 'step')}, about ${formatDuration(3600 * hours)} in all`;
  output.line(`${title}: ${queries}, about ${formatDuration(secondsPerStep)} a step; ${all}.`);
  return cost;
}

/** What the rest of a run would take on other numbers of ranks. */
function sayRanks({ ranks, hours: alone }: TrainCost, threads: number, output: Output): void {
  // Nobody starts a cluster for less.
  if (ranks.length === 0 || alone < 1) return;
  const each = ranks.map(({ ranks: count, hours, efficiency }) => {
    return `${grouped(count)}: ${formatDuration(3600 * hours)} (${percent(efficiency)})`;
  });
  const what = `On ranks of ${counted(threads, 'thread')}, by the model of docs/clusters.md, with their efficiency`;
  output.line(`${what}: ${each.join(', ')}.`);
}

/** Mean losses of the first and the last steps. */
function lossesAtEnds(log: readonly TrainStep[]): { first: number; last: number; count: number } {
  const losses = log.map(({ loss }) => loss);
  const count = Math.min(5, Math.ceil(losses.length / 2));
  return { first: mean(losses.slice(0, count)), last: mean(losses.slice(losses.length - count)), count };
}
