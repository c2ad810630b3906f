/**
 * `deepzero train`: algorithm 1 from a data folder to a weights file, in a folder from which a stopped run goes on.
 *
 * @module
 */
import { rm } from 'node:fs/promises';
import { basename, join } from 'node:path';

import * as v from 'valibot';

import type { ImageDatasets } from '../../data/cifar10.js';
import { describeDataset } from '../../data/dataset.js';
import type { Model } from '../../model/model.js';
import { checkBatchSize } from '../../model/problem.js';
import { differences } from '../../support/differences.js';
import { rankCount } from '../../ranks/join.js';
import { WINDOW } from '../../runs/summary.js';
import { digest } from '../../support/digest.js';
import { FileError, inline, InvalidArgumentError } from '../../support/errors.js';
import { exists, makeFolder, makeNewFolder, removeEmptyFolders } from '../../support/files.js';
import { string } from '../../support/schema.js';
import { RunFolder } from '../../training/folder.js';
import { trainOptions } from '../../training/options.js';
import type { Command, OptionsOf } from '../command.js';
import { command, dashed, flag, option } from '../command.js';
import { computeOptions, inWords, loadData, openModel } from '../inputs.js';
import { counted, grouped } from '../output.js';
import { writeRatios } from '../prune.js';
import { configOf, invocation, openAgain, quoted, resumption, withRoom } from './resume.js';
import type { Session } from './run.js';
import { givenRatios, predict, trainIn } from './run.js';
import type { GivenSettings, RunConfig, TrainSettings } from './settings.js';
import {
  change,
  CHANGEABLE,
  changeable,
  configPath,
  makeOptimizer,
  MASK_SETTINGS,
  ratiosFrom,
  ratiosPath,
  settingsOptions,
  settle,
  writeConfig,
} from './settings.js';
import type { PageBeside } from '../watch/beside.js';
import { showBeside } from '../watch/beside.js';
import { portOption, RUNS } from '../watch/options.js';

interface CommandOptions extends GivenSettings {
  threads: number;
  memory: number | undefined;
  out: string | undefined;
  resume: string | undefined;
  checkpointEvery: number;
  tensorboard: boolean;
  dryRun: boolean;
  ui: boolean;
  port: number | undefined;
}

const RUN = 'Run';

const options: OptionsOf<CommandOptions> = {
  out: option(v.optional(string), {
    placeholder: 'DIR',
    help: 'folder for checkpoint, log and weights',
    otherwise: `${RUNS}/NAME-1, or the next free number`,
    group: RUN,
  }),
  resume: option(v.optional(string), {
    placeholder: 'DIR',
    help: `continues the run in that folder, to the same bits as if it had never stopped, or with changes of ${changeable()}`,
    group: RUN,
  }),
  checkpointEvery: option(trainOptions.entries.checkpointEvery, {
    placeholder: 'SECONDS',
    help: 'longest time between checkpoints, but for the step in progress; 0 writes one after every step',
    group: RUN,
  }),
  tensorboard: {
    ...flag('write an event file of TensorBoard into the folder, with the steps so far; a resumed run goes on with it'),
    group: RUN,
  },
  dryRun: { ...flag('predict the cost, write nothing'), group: RUN },
  ui: { ...flag('shows the run in the browser while it goes on, as deepzero ui does'), group: RUN },
  port: { ...portOption, requires: { option: 'ui', values: ['true'] }, group: RUN },
  ...settingsOptions,
  ...computeOptions,
};

const NOTES =
  "The defaults are the paper's for ResNet-20 on CIFAR-10, a run of weeks on a few cores; on synthetic data they are those of a " +
  'run of minutes. The command predicts the time before it starts. Ctrl-C saves the steps done, not the one in progress, and ' +
  'prints the command that resumes. A run that is resumed with changes goes on at its step: its schedule then gives the learning ' +
  'rate that this step has in a run of the new length. All other options stay, since the results so far depend on them. ' +
  "The run's folder receives config.json (the options, and what changed when), ratios.json (the fraction of each layer that is " +
  'left out), log.jsonl (a line for each step), run.safetensors (the checkpoint) and model.safetensors (the weights, for ' +
  'deepzero eval and for PyTorch); also run.json (where and when it was started), status.json (how far it is) and ' +
  'mask.safetensors (the coordinates that are queried). deepzero runs lists the runs. Progress counts the steps done; log and errors number steps and epochs from 0. Progress ' +
  `shows loss and accuracy as means over ${WINDOW} steps, the log has those of every step.`;

export const train: Command = command({
  name: 'train',
  summary: 'Trains a network from forward passes alone: ZO-GraSP, layer-wise ratios, sparse-CGE, SGD.',
  notes: NOTES,
  options,
  async run(values, { given, output, signal }) {
    const { resume, out, threads, memory, checkpointEvery, tensorboard, dryRun } = values;
    const old = resume === undefined ? undefined : new RunFolder(resume);
    if (old) refuseBesideResume(given);
    else refuseIgnored(given, values);
    const before = old && (await configOf(old));
    const settings = before ? change(before.settings, given) : settle(values, given);
    refuseRanks(settings);
    const data = await loadData(settings);
    checkBatchSize(settings.batchSize, data.train, '--batch-size');
    const started = old !== undefined && (await exists(old.checkpoint));
    // The file of weights is not needed any more: the checkpoint has the network.
    const weights = started && settings.weights !== undefined ? old.checkpoint : settings.weights;
    using model = await openModel({ ...settings, weights, threads, memory }, data.train.classes, output);
    const inputs = inputsOf(settings, data, model);
    // A started run has the weights of its checkpoint.
    const same = started && before ? { ...inputs, weights: before.inputs.weights } : inputs;
    if (old && before) refuseOtherInputs(configPath(old), before.inputs, same);
    const session: Session = {
      config: { settings, inputs: same, changes: before?.changes ?? [] },
      ...{ model, data, checkpointEvery, tensorboard, output, signal },
      optimizer: makeOptimizer(settings, data.train.count),
      changed: before !== undefined && CHANGEABLE.some((key) => given[key] !== undefined),
    };
    const ranks = rankCount() === 1 ? '' : `, ${rankCount()} ranks of ${counted(model.threads, 'thread')}`;
    const about = `${inline(model.network.name)}, ${grouped(model.parameterCount)} parameters, ${inWords(data)}${ranks}`;
    if (dryRun) {
      if (out !== undefined) await refuseUsed(new RunFolder(out));
      output.line(about);
      return await predict(session, old);
    }
    const begun = old ? { folder: await openAgain(old), made: undefined } : await begin(session, out);
    await using folder = begun.folder;
    output.line(`${about}, run in ${folder.path}`);
    if (old && !started) output.line('There is no checkpoint yet: starting at the first step.');
    signal.addEventListener('abort', () => {
      output.line('Stopping: the steps done are kept; once more to quit at once.');
    });
    let page: PageBeside | undefined;
    try {
      page = values.ui ? await showBeside(folder.path, values.port) : undefined;
      if (page) output.line(`Shown at\n  ${page.url}`);
      const result = await trainIn(folder, session);
      if (settings.data === 'synthetic' && isPapers(settings)) output.line(`\n${nextStep()}`);
      return result;
    } catch (error) {
      if (error === signal.reason) {
        output.line(`Stopped. To continue:\n  ${resumption(folder.path)}`);
      }
      // Refused before anything was computed: the corrected command may use the folder.
      if (error instanceof InvalidArgumentError && !old && !(await hasBegun(folder, settings))) await discard(begun);
      throw withRoom(error, folder.path);
    } finally {
      page?.end();
    }
  },
});

/** Identifies data and initial weights. */
function inputsOf(
  { weights }: TrainSettings,
  { train: images, test }: ImageDatasets,
  model: Model,
): RunConfig['inputs'] {
  return {
    train: describeDataset(images),
    test: describeDataset(test),
    weights: weights === undefined ? null : digest(model.parameters, model.statistics),
  };
}

/** Refuses data or weights that are not those that the run began with: it could not go on to the same bits. */
function refuseOtherInputs(file: string, saved: RunConfig['inputs'], given: RunConfig['inputs']): void {
  const [difference] = differences(saved, JSON.parse(JSON.stringify(given)));
  if (!difference) return;
  const { path, saved: was, given: is } = difference;
  throw new FileError(file, `the run began with other data or weights: inputs.${path} was ${was}, and is ${is} now`);
}

/** A folder that was opened for a new run. */
interface NewFolder {
  readonly folder: RunFolder;
  /** The outermost folder made for it; undefined where `RunFolder.open` made it and removes it if it stays empty. */
  readonly made: string | undefined;
}

/**
 * Makes and opens the folder `runs/<name>-1`, or the one with the next free number.
 *
 * @throws FileError if it cannot be made.
 */
async function createNumbered(name: string): Promise<NewFolder> {
  const runs = await makeFolder(RUNS);
  for (let i = 1; ; i++) {
    const path = join(RUNS, `${name}-${i}`);
    if (!(await exists(path)) && (await makeNewFolder(path))) {
      return { folder: await RunFolder.open(path), made: runs ?? path };
    }
  }
}

/** The name of a file of a run that a folder holds, if there is one. */
async function runFileIn(folder: RunFolder): Promise<string | undefined> {
  for (const file of [
    configPath(folder),
    ratiosPath(folder),
    folder.checkpoint,
    folder.log,
    folder.journal,
    folder.weights,
  ]) {
    if (await exists(file)) return basename(file);
  }
  return undefined;
}

/** Removes options and ratios of a run that made no step, and its folder if that was made for it and is empty. */
async function discard({ folder, made }: NewFolder): Promise<void> {
  for (const file of [configPath(folder), ratiosPath(folder)]) await rm(file, { force: true });
  await folder[Symbol.asyncDispose]();
  await removeEmptyFolders(folder.path, made);
}

/** Makes the run's folder with everything that a resumption needs from the start. */
async function begin(session: Session, out: string | undefined): Promise<NewFolder> {
  const ratios = await givenRatios(session);
  const { model, data } = session;
  const name = `${inPath(model.network.name)}-${inPath(data.train.name.replace(/ train$/, ''))}`;
  const begun = out === undefined ? await createNumbered(name) : { folder: await RunFolder.open(out), made: undefined };
  const { folder } = begun;
  await refuseUsed(folder);
  try {
    if (typeof ratios === 'object') await writeRatios(ratiosPath(folder), { ratios });
    await writeConfig(configPath(folder), session.config);
    return begun;
  } catch (error) {
    await discard(begun);
    throw error;
  }
}

/** Refuses a folder that holds files of a run. */
async function refuseUsed(folder: RunFolder): Promise<void> {
  const { path } = folder;
  const found = await runFileIn(folder);
  if (found === undefined) return;
  const holds = found === 'config.json' ? `a run: continue it with --resume ${quoted(path)}, or` : `${found}:`;
  throw new FileError(path, `already holds ${holds} choose another --out`);
}

/** A name from a file as part of a folder's name: short, and without characters that have a meaning in a path. */
function inPath(name: string): string {
  return name
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[.-]+/, '')
    .slice(0, 40);
}

/** Whether a run's folder holds anything that took time to compute. */
async function hasBegun(folder: RunFolder, settings: TrainSettings): Promise<boolean> {
  return (await exists(folder.log)) || (ratiosFrom(settings) !== 'file' && (await exists(ratiosPath(folder))));
}

/** Refuses ranks that would have nothing to do. */
function refuseRanks({ estimator }: TrainSettings): void {
  if (estimator !== 'first-order' || rankCount() === 1) return;
  throw new InvalidArgumentError(
    `Expected --estimator to have queries that ${rankCount()} ranks can share, received first-order: back-propagation is a single pass; ` +
      'start it once, without mpirun or srun',
  );
}

/** Options that may stand beside --resume and do not affect the results. */
const NEUTRAL = ['resume', 'threads', 'memory', 'checkpointEvery', 'tensorboard', 'dryRun', 'ui', 'port', 'json'];

function refuseBesideResume(given: Partial<CommandOptions>): void {
  const allowed: readonly string[] = [...NEUTRAL, ...CHANGEABLE];
  const extra = Object.keys(given).find((key) => !allowed.includes(key));
  if (extra === undefined) return;
  const why = extra === 'out' ? 'a run stays in its folder' : 'the results so far depend on it';
  throw new InvalidArgumentError(
    `${dashed(extra)} cannot be used with --resume: ${why}. A resumed run can change ${changeable()}`,
  );
}

/** Refuses options that would be ignored. */
function refuseIgnored(given: Partial<CommandOptions>, values: CommandOptions): void {
  const source = ratiosFrom(values);
  if (given.sparsity !== undefined && source === 'file') {
    throw new InvalidArgumentError(
      '--sparsity cannot be used with --ratios FILE: the file has the sparsity of each layer',
    );
  }
  // Back-propagation of the whole gradient draws no masks.
  const { estimator, sparsity = 0 } = values;
  if (estimator !== 'first-order' || sparsity > 0 || source === 'file') return;
  const extra = MASK_SETTINGS.find((key) => given[key] !== undefined);
  if (extra === undefined) return;
  throw new InvalidArgumentError(`${dashed(extra)} requires --sparsity above 0 with --estimator first-order`);
}

/** Whether it is the paper's run except for its length and data. */
function isPapers({ estimator, network }: TrainSettings): boolean {
  return estimator === 'sparse-cge' && network === 'resnet20';
}

/** A suggestion after a run on generated data. */
function nextStep(): string {
  return `This was generated data. For CIFAR-10, unpack https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz, and:
  ${invocation()} --data cifar-10-batches-bin
That is the paper's run, of weeks on a few cores: --dry-run predicts its time.
--sparsity 0.99 makes a seventh of the queries.`;
}
