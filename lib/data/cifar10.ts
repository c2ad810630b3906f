/**
 * CIFAR-10's binary files (https://www.cs.toronto.edu/~kriz/cifar.html): `data_batch_1.bin` … `data_batch_5.bin`
 * and `test_batch.bin`, records of 3,073 bytes: the label, then the red, green and blue planes of 32×32 pixels.
 *
 * @module
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import * as check from '../support/check.js';
import { FileError, isObject } from '../support/check.js';
import { concatenate, exists, makeFolder, readFileBytes, readJson, writeFileAtomically } from '../support/files.js';
import type { ImageDatasetOptions } from './dataset.js';
import { checkNormalization, ImageDataset } from './dataset.js';

/** Per channel, of pixel values scaled to 0 … 1: the normalisation of the paper's runs. */
export const CIFAR10_MEAN: readonly number[] = [0.4914, 0.4822, 0.4465];
export const CIFAR10_STD: readonly number[] = [0.2471, 0.2435, 0.2616];

export const CIFAR10_CLASSES: readonly string[] = [
  'airplane',
  'automobile',
  'bird',
  'cat',
  'deer',
  'dog',
  'frog',
  'horse',
  'ship',
  'truck',
];

const SHAPE = [3, 32, 32] as const;
const IMAGE_BYTES = 3 * 32 * 32;
const RECORD_BYTES = 1 + IMAGE_BYTES;
const CLASSES = 10;
const TRAIN_FILES = [1, 2, 3, 4, 5].map((i) => `data_batch_${i}.bin`);
const TEST_FILE = 'test_batch.bin';
const NAMES_FILE = 'batches.meta.txt';
/** What the layout has no place for, of sets that are not CIFAR-10: name and normalisation of each. */
const ABOUT_FILE = 'deepzero.json';

/** What the training set of CIFAR-10 itself is called. */
export const CIFAR10_TRAIN = 'cifar10 train';

/** The folder's name in the official archive. */
const OFFICIAL_FOLDER = 'cifar-10-batches-bin';

/** A training and a test set of the same kind. */
export interface ImageDatasets {
  train: ImageDataset;
  test: ImageDataset;
  /** The training batches of CIFAR-10 that the folder does not have. */
  missing?: readonly string[];
}

export interface Cifar10Options {
  /** Per channel, of pixel values scaled to 0 … 1; default that of `deepzero.json`, or else `CIFAR10_MEAN`. */
  mean?: readonly number[];
  /** Per channel, of pixel values scaled to 0 … 1; default that of `deepzero.json`, or else `CIFAR10_STD`. */
  std?: readonly number[];
}

interface Records {
  images: Uint8Array;
  labels: Uint8Array;
}

/** The folder itself, or the official archive's folder inside it. */
async function findBatches(folder: string): Promise<{ folder: string; trainFiles: string[] }> {
  if (!(await exists(folder))) throw new FileError(folder, 'folder does not exist');
  if (!(await stat(folder)).isDirectory())
    throw new FileError(folder, 'is a file, expected a folder with CIFAR-10 batches');
  for (const candidate of [folder, join(folder, OFFICIAL_FOLDER)]) {
    const present = await Promise.all(TRAIN_FILES.map((name) => exists(join(candidate, name))));
    const trainFiles = TRAIN_FILES.filter((_, i) => present[i]);
    if (trainFiles.length > 0) return { folder: candidate, trainFiles };
  }
  throw new FileError(folder, `holds none of ${TRAIN_FILES.join(', ')} (CIFAR-10's binary version)`);
}

async function readBatch(file: string): Promise<Records> {
  const bytes = await readFileBytes(file);
  if (bytes.length === 0) throw new FileError(file, `is empty, expected records of ${RECORD_BYTES} bytes`);
  const count = Math.floor(bytes.length / RECORD_BYTES);
  const rest = bytes.length % RECORD_BYTES;
  if (rest > 0) {
    const problem = `${bytes.length} bytes are no whole number of records of ${RECORD_BYTES} (${rest} left over)`;
    throw new FileError(file, `${problem}: truncated, or not a CIFAR-10 batch`);
  }
  const images = new Uint8Array(count * IMAGE_BYTES);
  const labels = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    const begin = i * RECORD_BYTES;
    const label = bytes[begin]!;
    if (label >= CLASSES) {
      throw new FileError(file, `record ${i} (byte ${begin}) has label ${label}, expected 0 to ${CLASSES - 1}`);
    }
    labels[i] = label;
    images.set(bytes.subarray(begin + 1, begin + RECORD_BYTES), i * IMAGE_BYTES);
  }
  return { images, labels };
}

async function readClassNames(file: string): Promise<readonly string[]> {
  if (!(await exists(file))) return CIFAR10_CLASSES;
  const lines = new TextDecoder().decode(await readFileBytes(file)).split('\n');
  const names = lines.map((line) => line.trim()).filter((line) => line !== '');
  if (names.length !== CLASSES) {
    throw new FileError(file, `${names.length} class names, expected ${CLASSES}, one per line`);
  }
  return names;
}

type About = Pick<ImageDatasetOptions, 'name' | 'mean' | 'std'>;
type AboutSets = Record<'train' | 'test', About>;

/** CIFAR-10's, or what `writeCifar10` says of the sets that it wrote. */
async function readAbout(file: string): Promise<AboutSets> {
  const ofCifar10 = (name: string): About => ({ name, mean: CIFAR10_MEAN, std: CIFAR10_STD });
  if (!(await exists(file))) return { train: ofCifar10(CIFAR10_TRAIN), test: ofCifar10('cifar10 test') };
  const content = await readJson(file);
  const read = (part: string): About => {
    const about = isObject(content) ? content[part] : undefined;
    if (!isObject(about)) throw new FileError(file, `has no "${part}": {name, mean, std}, as writeCifar10 writes it`);
    try {
      const { name, mean, std } = about;
      return { name: check.string(name, 'name'), ...checkNormalization(mean, std, SHAPE[0]) };
    } catch (cause) {
      throw new FileError(file, `${part}: ${(cause as Error).message}`, { cause });
    }
  };
  return { train: read('train'), test: read('test') };
}

/**
 * Loads CIFAR-10 from a folder with its binary files, or from one that holds `cifar-10-batches-bin/`. Any number
 * of training batches and any number of whole records in each will do; class names come from `batches.meta.txt`
 * where there is one, and name and normalisation of another set in these files from `deepzero.json`, which `writeCifar10` writes.
 *
 * @throws FileError naming the file and, for a bad label, the record: for a missing folder or test batch, an
 *   empty or truncated batch, a label over 9, a `deepzero.json` without what it is for.
 * @example const { train, test } = await cifar10('data/cifar-10-batches-bin');
 */
export async function cifar10(path: string, options: Cifar10Options = {}): Promise<ImageDatasets> {
  const { mean, std } = check.options<Cifar10Options>(options, 'cifar10', ['mean', 'std']);
  const { folder, trainFiles } = await findBatches(check.string(path, 'the folder of CIFAR-10'));
  const test = await readBatch(join(folder, TEST_FILE));
  const batches = await Promise.all(trainFiles.map((name) => readBatch(join(folder, name))));
  const classNames = await readClassNames(join(folder, NAMES_FILE));
  const about = await readAbout(join(folder, ABOUT_FILE));
  const images = concatenate(batches.map((batch) => batch.images));
  const labels = concatenate(batches.map((batch) => batch.labels));
  const common = { shape: SHAPE, classNames, ...(mean !== undefined && { mean }), ...(std !== undefined && { std }) };
  return {
    train: new ImageDataset({ images, labels, ...about.train, ...common }),
    test: new ImageDataset({ ...test, ...about.test, ...common }),
    missing: TRAIN_FILES.filter((name) => !trainFiles.includes(name)),
  };
}

function encodeRecords(dataset: ImageDataset, begin: number, end: number): Uint8Array {
  const bytes = new Uint8Array((end - begin) * RECORD_BYTES);
  for (let i = begin; i < end; i++) {
    const record = (i - begin) * RECORD_BYTES;
    bytes[record] = dataset.labels[i]!;
    bytes.set(dataset.images.subarray(i * IMAGE_BYTES, (i + 1) * IMAGE_BYTES), record + 1);
  }
  return bytes;
}

function encodeAbout({ train, test }: ImageDatasets): Uint8Array {
  const about = ({ name, mean, std }: ImageDataset): About => ({ name, mean, std });
  const sets: AboutSets = { train: about(train), test: about(test) };
  return new TextEncoder().encode(`${JSON.stringify(sets, undefined, 2)}\n`);
}

function checkWritable(dataset: ImageDataset, what: string, leastCount: number): void {
  const { count, shape, classes } = dataset;
  check.integer(count, `the number of ${what} images`, leastCount);
  if (!SHAPE.every((size, i) => shape[i] === size)) {
    throw check.expected(`the shape of ${what} images`, '[3, 32, 32]', shape);
  }
  if (classes !== CLASSES) throw check.expected(`the number of ${what} classes`, String(CLASSES), classes);
  const name = dataset.classNames.find((one) => one !== one.trim() || /[\r\n]/.test(one));
  if (name !== undefined)
    throw check.expected(`the names of ${what} classes`, 'lines without spaces around them', name);
}

/**
 * Writes two data sets of 3×32×32 images in ten classes as CIFAR-10's files: five training batches of nearly
 * equal length, the test batch, the class names, and beside them `deepzero.json`, of names and normalisation, so that `cifar10`
 * reads the same sets. Makes the folder; each file is written atomically, and none over another.
 *
 * @returns the files' paths.
 * @throws FileError if a file cannot be written or the folder holds one of its name; InvalidArgumentError if the sets do not
 *   fit the layout.
 */
export async function writeCifar10(folder: string, sets: ImageDatasets): Promise<string[]> {
  const { train, test } = sets;
  checkWritable(train, 'training', TRAIN_FILES.length);
  checkWritable(test, 'test', 1);
  if (test.classNames.join('\n') !== train.classNames.join('\n')) {
    throw check.expected('the names of test classes', 'those of the training classes', test.classNames);
  }
  await makeFolder(check.string(folder, 'the folder to write to'));
  const bound = (batch: number): number => Math.floor((train.count * batch) / TRAIN_FILES.length);
  // The images last: a folder without them is none of CIFAR-10's, whatever else it has.
  const files = [
    { name: ABOUT_FILE, encode: () => encodeAbout(sets) },
    { name: NAMES_FILE, encode: () => new TextEncoder().encode(`${train.classNames.join('\n')}\n`) },
    ...TRAIN_FILES.map((name, i) => ({ name, encode: () => encodeRecords(train, bound(i), bound(i + 1)) })),
    { name: TEST_FILE, encode: () => encodeRecords(test, 0, test.count) },
  ];
  for (const { name } of files) {
    if (await exists(join(folder, name))) throw new FileError(folder, `already holds ${name}: choose another folder`);
  }
  for (const { name, encode } of files) await writeFileAtomically(join(folder, name), [encode()]);
  return files.map(({ name }) => join(folder, name));
}
