/**
 * The inputs that several commands share, as options and as what they stand for: networks, data, JSON files.
 *
 * @module
 */
import * as check from '../../support/check.js';
import { cifar10 } from '../../data/cifar10.js';
import type { ImageDatasets } from '../../data/cifar10.js';
import type { ImageDataset } from '../../data/dataset.js';
import { synthetic } from '../../data/synthetic.js';
import { defaultThreads, MOST_THREADS } from '../../native/cores.js';
import { cnn } from '../../network/cnn.js';
import { Model } from '../../model/model.js';
import type { Network } from '../../network/description.js';
import { resnet, resnet20 } from '../../network/resnet.js';
import { choice, number, size, text, triple } from './options.js';
import type { Option, OptionsOf } from './options.js';
import { counted } from '../output.js';

const NETWORKS = ['resnet20', 'resnet', 'cnn'] as const;
type NetworkName = (typeof NETWORKS)[number];

/** An option that is an integer from `low` on, to `high` where there is one. */
export function whole(low: number, high?: number): (value: unknown, what: string) => number {
  return (value, what) => check.integer(value, what, low, high);
}

/** An option that is a number in [0, 1). */
export const fraction = (value: unknown, what: string): number => check.fraction(value, what);

const SHAPED = { option: 'network', values: ['resnet', 'cnn'] };

const shapeOptions = {
  depth: number(whole(1), {
    help: 'layers with weights, 6n + 2, of resnet (default: 20); convolutions, 1 to 5, of cnn (5 by default)',
    only: SHAPED,
  }),
  width: number(whole(1), {
    help: 'channels of the first stage of resnet (16 by default), of every convolution of cnn (18 by default)',
    only: SHAPED,
  }),
};

const networkHelp = 'ResNet-20; another residual network; the small CNN of the paper';

export interface NetworkChoice {
  network: NetworkName;
  depth: number | undefined;
  width: number | undefined;
}

export const networkOptions: OptionsOf<NetworkChoice> = {
  network: choice(NETWORKS, { help: networkHelp, default: 'resnet20' }),
  ...shapeOptions,
};

/** Where a network need not be named; `otherwise` says what is taken unless it is. */
export function optionalNetworkOptions(
  otherwise: string,
): OptionsOf<{ [K in keyof NetworkChoice]: NetworkChoice[K] | undefined }> {
  return { network: choice(NETWORKS, { help: `${networkHelp}; ${otherwise}` }), ...shapeOptions };
}

export const DATA = 'DIR|synthetic';
export const dataHelp = 'a folder of CIFAR-10 binary files, or the embedded generated data set';

export const dataOption: Option<string> = text(DATA, { help: dataHelp, default: 'synthetic' });

interface Normalisation {
  mean: readonly number[] | undefined;
  std: readonly number[] | undefined;
}

export const normalisationOptions: OptionsOf<Normalisation> = {
  mean: triple({
    help: "per channel, of pixels scaled to 0 … 1; default: the data set's own, which in DIR is CIFAR-10's or deepzero.json's",
  }),
  std: triple({ help: 'per channel, likewise' }),
};

export const seedOption: Option<number> = number(whole(0), { help: 'fixes every random choice', default: 0 });

export const threadsOption: Option<number> = number((value, what) => check.integer(value, what, 1, MOST_THREADS), {
  help: 'threads; results do not depend on it',
  default: defaultThreads(),
});

export const memoryOption: Option<number | undefined> = size({
  help: 'the most memory that a computation may allocate, such as 500MB or 2GB: as many threads as fit are used; no bound by default',
});

/** How a command's models compute. */
export const computeOptions: OptionsOf<{ threads: number; memory: number | undefined }> = {
  threads: threadsOption,
  memory: memoryOption,
};

export function buildNetwork({ network, depth, width }: NetworkChoice, classes: number): Network {
  if (network === 'resnet20') return resnet20({ classes });
  const shape = { classes, ...(depth !== undefined && { depth }) };
  if (network === 'resnet') return resnet({ ...shape, ...(width !== undefined && { width }) });
  return cnn({ ...shape, ...(width !== undefined && { channels: width }) });
}

/** The model in a weights file, or one with initial weights. */
export async function openModel(
  options: { [K in keyof NetworkChoice]: NetworkChoice[K] | undefined } & {
    weights: string | undefined;
    seed?: number;
    threads: number;
    memory: number | undefined;
  },
  classes: number,
): Promise<Model> {
  const { network: name, depth, width, weights, seed = 0, threads, memory } = options;
  const named = (network: NetworkName): Network => buildNetwork({ network, depth, width }, classes);
  if (weights === undefined) return new Model(named(name ?? 'resnet20'), { seed, threads, memory });
  return Model.load(weights, { threads, memory, ...(name !== undefined && { network: named(name) }) });
}

export async function loadData(options: { data: string } & Partial<Normalisation>): Promise<ImageDatasets> {
  const sets = options.data === 'synthetic' ? synthetic() : await cifar10(options.data);
  const { mean, std } = options;
  if (std) for (const value of std) check.positive(value, 'each of --std');
  const normalised = (set: ImageDataset): ImageDataset => set.withNormalization(mean ?? set.mean, std ?? set.std);
  return { ...sets, train: normalised(sets.train), test: normalised(sets.test) };
}

/** The training images: how many of what, and what is missing of them. */
export function inWords({ train, missing = [] }: ImageDatasets): string {
  const without = missing.length === 0 ? '' : ` (${missing.join(', ')} missing)`;
  return `${counted(train.count, 'image')} of ${train.name}${without}`;
}

/** How many images each class has. */
export function countClasses({ labels, classes }: ImageDataset): number[] {
  const counts = new Array<number>(classes).fill(0);
  for (const label of labels) counts[label] = (counts[label] ?? 0) + 1;
  return counts;
}
