/**
 * The inputs that several commands share, as options and as the networks and data that they name.
 *
 * @module
 */
import * as v from 'valibot';

import { cifar10 } from '../data/cifar10.js';
import type { ImageDatasets } from '../data/cifar10.js';
import type { ImageDataset } from '../data/dataset.js';
import { normalization } from '../data/options.js';
import { synthetic } from '../data/synthetic.js';
import { defaultThreads } from '../native/cores.js';
import { cnn } from '../network/cnn.js';
import { Model, modelOptions } from '../model/model.js';
import type { Network } from '../network/description.js';
import { resnet, resnet20 } from '../network/resnet.js';
import { exists } from '../support/files.js';
import { integer, oneOf, seed, string } from '../support/schema.js';
import { RunFolder } from '../training/folder.js';
import type { Option, OptionsOf } from './command.js';
import { inGroup, option, perChannel, size } from './command.js';
import { counted } from './output.js';
import type { Output } from './output.js';
import { FileError, inline, InvalidArgumentError } from '../support/errors.js';

const NETWORKS = ['resnet20', 'resnet', 'cnn'] as const;

const SHAPED = { option: 'network', values: ['resnet', 'cnn'] };

/** Their bounds depend on the network, which checks them. */
const shapeOptions = {
  depth: option(v.optional(integer(1)), {
    help: 'of resnet 6n + 2 layers with weights, of cnn 1 to 5 convolutions',
    otherwise: '20 of resnet, 5 of cnn',
    requires: SHAPED,
  }),
  width: option(v.optional(integer(1)), {
    help: 'channels of the first stage of resnet, of every convolution of cnn',
    otherwise: '16 of resnet, 18 of cnn',
    requires: SHAPED,
  }),
};

const NETWORK_HELP = 'ResNet-20; another residual network; the small CNN of the paper';

export interface NetworkChoice {
  network: (typeof NETWORKS)[number];
  depth: number | undefined;
  width: number | undefined;
}

export const networkOptions: OptionsOf<NetworkChoice> = inGroup('Network', {
  network: option(v.optional(oneOf(NETWORKS), 'resnet20'), { help: NETWORK_HELP }),
  ...shapeOptions,
});

type OptionalNetworkChoice = { [K in keyof NetworkChoice]: NetworkChoice[K] | undefined };

/** Where a network need not be named; `otherwise` says which one is taken then. */
export function optionalNetworkOptions(otherwise: string): OptionsOf<OptionalNetworkChoice> {
  const network = option(v.optional(oneOf(NETWORKS)), { help: NETWORK_HELP, otherwise });
  return inGroup('Network', { network, ...shapeOptions });
}

export const DATA = 'DIR|synthetic';
export const dataHelp = 'a folder of CIFAR-10 binary files, or the embedded generated data set';

export interface Normalisation {
  mean: readonly number[] | undefined;
  std: readonly number[] | undefined;
}

/** A data set that has to be named. */
export const namedDataOption: Option<string> = option(string, { help: dataHelp, placeholder: DATA, group: 'Data' });

export const dataOption: Option<string> = { ...namedDataOption, schema: v.optional(string, 'synthetic') };

const NORMALIZATION = normalization(3);

export const normalisationOptions: OptionsOf<Normalisation> = inGroup('Data', {
  mean: perChannel(
    NORMALIZATION.mean,
    'mean of each channel, of pixels scaled to 0 … 1',
    "the data set's, which in DIR is that of deepzero.json or CIFAR-10",
  ),
  std: perChannel(NORMALIZATION.std, 'standard deviation of each channel', "the data set's"),
});

export const seedOption: Option<number> = option(v.optional(seed, 0), { help: 'fixes every random choice' });

/** How a command's models compute. */
export const computeOptions: OptionsOf<{ threads: number; memory: number | undefined }> = inGroup('Computing', {
  threads: option(v.optional(v.unwrap(modelOptions.entries.threads), defaultThreads()), {
    help: 'results do not depend on it',
  }),
  memory: size(
    'the most memory that a computation may allocate, such as 500MB or 2GB: as many threads as fit are used',
    'no bound',
  ),
});

export function buildNetwork({ network, depth, width }: NetworkChoice, classes: number): Network {
  if (network === 'resnet20') return resnet20({ classes });
  const shape = { classes, ...(depth !== undefined && { depth }) };
  if (network === 'resnet') return resnet({ ...shape, ...(width !== undefined && { width }) });
  try {
    return cnn({ ...shape, ...(width !== undefined && { channels: width }) });
  } catch (error) {
    throw error instanceof InvalidArgumentError && error.option === 'channels' ? error.renamed('width') : error;
  }
}

/** The model in a weights file, or one with initial weights. */
export async function openModel(
  options: OptionalNetworkChoice & {
    weights: string | undefined;
    seed?: number;
    threads: number;
    memory: number | undefined;
  },
  classes: number,
  output: Output,
): Promise<Model> {
  const { network: name, depth, width, weights, threads, memory } = options;
  const named = (network: NetworkChoice['network']): Network => buildNetwork({ network, depth, width }, classes);
  if (weights === undefined) return new Model(named(name ?? 'resnet20'), { seed: options.seed ?? 0, threads, memory });
  const network = name === undefined ? undefined : named(name);
  const { weights: inside } = new RunFolder(weights);
  // Of a place that cannot be read, the file itself tells why.
  if (await exists(inside).catch(() => false))
    throw new FileError(weights, `is a folder, expected a file, such as ${inside}`);
  const model = await Model.load(weights, { threads, memory, ...(network && { network }) }).catch(withoutOwnLoss);
  for (const note of model.notes) output.line(note);
  return model;
}

/** The commands have no option for a loss that a file only names. */
function withoutOwnLoss(error: unknown): never {
  if (!(error instanceof FileError) || error.option !== 'loss') throw error;
  throw error.renamed('the option loss of Model.load, in the library, as the command has only built-in losses');
}

export async function loadData(options: { data: string } & Partial<Normalisation>): Promise<ImageDatasets> {
  const sets = options.data === 'synthetic' ? synthetic() : await cifar10(options.data);
  const { mean, std } = options;
  const normalised = (set: ImageDataset): ImageDataset => set.withNormalization(mean ?? set.mean, std ?? set.std);
  return { ...sets, train: normalised(sets.train), test: normalised(sets.test) };
}

/** The number and the name of the training images, and which files are missing or short. */
export function inWords({ train, missing = [], short = [] }: ImageDatasets): string {
  const remarks = [
    ...(missing.length === 0 ? [] : [`${missing.join(', ')} missing`]),
    ...(short.length === 0 ? [] : [`${short.join(', ')} shorter than the others`]),
  ];
  const remark = remarks.length === 0 ? '' : ` (${remarks.join('; ')})`;
  return `${counted(train.count, 'image')} of ${inline(train.name)}${remark}`;
}

/** How many images each class has. */
export function countClasses({ labels, classes }: ImageDataset): number[] {
  const counts = new Array<number>(classes).fill(0);
  for (const label of labels) counts[label] = (counts[label] ?? 0) + 1;
  return counts;
}
