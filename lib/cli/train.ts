/**
 * `deepzero train`: algorithm 1 from a data folder to a weights file, in a folder that a stopped run continues from.
 *
 * @module
 */
import * as v from 'valibot';

import { FileError, InvalidArgumentError, nearest } from '../support/errors.js';
import { expected, string } from '../support/schema.js';
import type { ImageDataset } from '../data/dataset.js';
import { Model } from '../model/model.js';
import { checkBatchSize } from '../model/problem.js';
import type { Command } from './command.js';
import { command } from './command.js';
import { buildNetwork, computeOptions, inWords, loadData } from './inputs.js';
import type { OptionsOf } from './options.js';
import { dashed, option } from './options.js';
import { grouped } from './output.js';
import { checkSamples, readRatios, writeRatios } from './prune.js';
import { exists } from '../support/files.js';
import { RunFolder } from '../training/folder.js';
import { WINDOW } from './train-progress.js';
import { TrainSession } from './train-session.js';
import type { GivenSettings, TrainSettings } from './train-settings.js';
import {
  makeOptimizer,
  MASK_SETTINGS,
  ratiosFrom,
  readConfig,
  settingsOptions,
  settle,
  SPREADS,
  writeConfig,
} from './train-settings.js';

interface CommandOptions extends GivenSettings {
  threads: number;
  memory: number | undefined;
  out: string | undefined;
  resume: string | undefined;
}

const options: OptionsOf<CommandOptions> = {
  out: option(v.optional(string), {
    placeholder: 'DIR',
    help: 'folder for checkpoint, log and weights',
    otherwise: 'runs/NAME-1, or the next free number',
  }),
  resume: option(v.optional(string), {
    placeholder: 'DIR',
    help: 'continues the run in that folder to the bits of one never stopped; takes only --threads and --memory beside it',
  }),
  ...settingsOptions,
  ...computeOptions,
};

const NOTES =
  "The defaults are the paper's for ResNet-20 on CIFAR-10, which take weeks on a few cores, except on synthetic data, where " +
  'they make a run of minutes; what a run will cost is said before it starts. Ctrl-C saves the steps done, not the one in ' +
  "progress, and prints the command that resumes. The run's folder receives config.json (the options), ratios.json " +
  '(how much of each layer is left out), log.jsonl (a line for every step), run.safetensors (the checkpoint) and model.safetensors ' +
  '(the weights, for deepzero eval and for PyTorch). Progress counts the steps done; log and errors number steps and ' +
  `epochs from 0. Progress shows loss and accuracy as means over ${WINDOW} steps, the log has those of every step.`;

export const train: Command = command({
  name: 'train',
  summary: 'Trains a network from forward passes alone: ZO-GraSP, layer-wise ratios, sparse-CGE, SGD.',
  notes: NOTES,
  options,
  async run(values, { given, output, signal }) {
    if (values.resume !== undefined) refuseBesideResume(given);
    if (given.sparsity !== undefined && ratiosFrom(values) === 'file') {
      throw new InvalidArgumentError('--sparsity does not go with --ratios FILE: the file says what is left out');
    }
    refuseUnmasked(given, values);
    const resumed = values.resume === undefined ? undefined : await openRun(values.resume);
    const settings = resumed ? await readConfig(resumed.config) : settle(values);
    const data = await loadData(settings);
    checkBatchSize(settings.batchSize, data.train, '--batch-size');
    const network = buildNetwork(settings, data.train.classes);
    using model = new Model(network, { seed: settings.seed, threads: values.threads, memory: values.memory });
    const optimizer = makeOptimizer(settings, data.train.count);
    await using folder = resumed
      ? await RunFolder.open(resumed.path)
      : await begin(settings, values.out, model, data.train);
    const about = `${network.name}, ${grouped(model.parameterCount)} parameters, ${inWords(data)}`;
    output.line(`${about}, run in ${folder.path}`);
    if (resumed && !(await exists(resumed.checkpoint))) output.line('No checkpoint is there yet: from the first step.');
    signal.addEventListener('abort', () => {
      output.line('Stopping: the steps done are kept; once more to quit at once.');
    });
    const session = new TrainSession({ settings, model, data, optimizer, folder, output, signal });
    try {
      const result = await session.run();
      if (settings.data === 'synthetic' && isPapers(settings)) output.line(`\n${nextStep()}`);
      return result;
    } catch (error) {
      if (error === signal.reason)
        output.line(`Stopped. To continue:\n  ${invocation()} --resume ${quoted(folder.path)}`);
      // Refused before anything was computed: the mended command may have the folder.
      if (error instanceof InvalidArgumentError && !resumed && !(await hasBegun(folder, settings)))
        await folder.discard();
      throw error;
    }
  },
});

/** The folder of a run that goes on. */
async function openRun(path: string): Promise<RunFolder> {
  const folder = new RunFolder(path);
  if (await exists(folder.config)) return folder;
  throw new FileError(path, "expected a run's folder, which holds config.json");
}

/** Makes the run's folder with all that a resumption needs from the outset. */
async function begin(
  settings: TrainSettings,
  out: string | undefined,
  model: Model,
  images: ImageDataset,
): Promise<RunFolder> {
  const { ratios } = settings;
  const source = ratiosFrom(settings);
  if (source === 'file' && !(await exists(ratios))) {
    const { message } = expected('--ratios', `one of ${SPREADS.join(', ')}, or a file that is there`, ratios);
    throw new InvalidArgumentError(message + nearest(ratios, SPREADS));
  }
  const given = source === 'file' ? await readRatios(ratios, model) : undefined;
  if (source !== 'file' && source !== 'uniform') checkSamples(source, settings, images);
  const folder = await create(out, `${model.network.name}-${kindOf(images)}`);
  try {
    if (given) await writeRatios(folder.ratios, { ratios: given });
    await writeConfig(folder.config, settings);
    return folder;
  } catch (error) {
    await folder.discard();
    throw error;
  }
}

async function create(out: string | undefined, name: string): Promise<RunFolder> {
  if (out === undefined) return RunFolder.createNumbered(name);
  const folder = await RunFolder.open(out);
  const [found] = await folder.contents();
  if (found === undefined) return folder;
  const holds = found === 'config.json' ? `a run: continue it with --resume ${out}, or` : `${found}:`;
  throw new FileError(out, `already holds ${holds} choose another --out`);
}

/** `cifar10 train` → `cifar10`: whatever a data set is called, something that a folder can be. */
function kindOf({ name }: ImageDataset): string {
  const words = name.replace(/ train$/, '').match(/[\w-]+/g) ?? ['data'];
  return words.join('-').slice(0, 40);
}

/** Whether a run's folder holds what took time to compute. */
async function hasBegun(folder: RunFolder, settings: TrainSettings): Promise<boolean> {
  return (await exists(folder.log)) || (ratiosFrom(settings) !== 'file' && (await exists(folder.ratios)));
}

function refuseBesideResume(given: Partial<CommandOptions>): void {
  const extra = Object.keys(given).find((key) => !['resume', 'threads', 'memory', 'json'].includes(key));
  if (extra === undefined) return;
  throw new InvalidArgumentError(
    `${dashed(extra)} does not go with --resume: a run continues with the options it began with`,
  );
}

/** Back-propagation of the whole gradient draws no masks. */
function refuseUnmasked(given: Partial<CommandOptions>, values: CommandOptions): void {
  const { estimator, sparsity = 0 } = values;
  if (estimator !== 'first-order' || sparsity > 0 || ratiosFrom(values) === 'file') return;
  const extra = MASK_SETTINGS.find((key) => given[key] !== undefined);
  if (extra === undefined) return;
  throw new InvalidArgumentError(`${dashed(extra)} requires --sparsity above 0 where --estimator is first-order`);
}

/** How the user started this, so that what is printed can be typed again. */
function invocation(): string {
  const by = process.env['npm_lifecycle_event'];
  if (by === 'start') return 'npm start --';
  return by === 'npx' ? 'npx deepzero train' : 'deepzero train';
}

/** Whether it is the paper's run but for its length and data. */
function isPapers({ estimator, network }: TrainSettings): boolean {
  return estimator === 'sparse-cge' && network === 'resnet20';
}

/** What to try after the embedded data. */
function nextStep(): string {
  return `This was generated data. For CIFAR-10, unpack https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz, and:
  ${invocation()} --data cifar-10-batches-bin
That is the paper's run, of weeks on a few cores: what it will cost is said before it starts.
--sparsity 0.99 makes a seventh of the queries.`;
}

function quoted(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}
