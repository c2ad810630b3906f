/**
 * CIFAR-10's binary files (https://www.cs.toronto.edu/~kriz/cifar.html): `data_batch_1.bin` … `data_batch_5.bin`
 * and `test_batch.bin`, records of 3,073 bytes: the label, then the red, green and blue planes of 32×32 pixels.
 *
 * @module
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';

import { FileError } from '../support/errors.js';
import { exists, makeFolder, readFileBytes, withInputFile, writeFileAtomically } from '../support/files.js';
import type { InputFile } from '../support/files.js';
import { readJson } from '../support/json.js';
import { checked, expected, integer, parseContent, parseOptions, string } from '../support/schema.js';
import type { ImageDatasetOptions } from './dataset.js';
import { ImageDataset } from './dataset.js';
import { normalization } from './options.js';

/** Per channel, of pixel values scaled to 0 … 1: the normalisation of the paper's runs. */
export const CIFAR10_MEAN: readonly number[] = [0.4914, 0.4822, 0.4465];
/** The standard deviations that go with `CIFAR10_MEAN`. */
export const CIFAR10_STD: readonly number[] = [0.2471, 0.2435, 0.2616];

/** The names of CIFAR-10's classes, in the order of their labels. */
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
/** Images of every file of CIFAR-10. */
const WHOLE = 10_000;
const TRAIN_FILES = [1, 2, 3, 4, 5].map((i) => `data_batch_${i}.bin`);
const TEST_FILE = 'test_batch.bin';
const NAMES_FILE = 'batches.meta.txt';
/** Name and normalisation of sets other than CIFAR-10, for which its layout has no place. */
const ABOUT_FILE = 'deepzero.json';

/** The name of CIFAR-10's training set. */
export const CIFAR10_TRAIN = 'cifar10 train';

/** The folder's name in the official archive. */
const OFFICIAL_FOLDER = 'cifar-10-batches-bin';

/** A training and a test set of the same kind. */
export interface ImageDatasets {
  /** The training set. */
  train: ImageDataset;
  /** The test set. */
  test: ImageDataset;
  /** The training batches of CIFAR-10 that the folder does not have. */
  missing?: readonly string[];
  /** The batches that hold fewer images than the others: those of CIFAR-10 hold 10,000 each. */
  short?: readonly string[];
}

const { mean, std } = normalization(SHAPE[0]);
const cifar10Options = v.strictObject({ mean: v.optional(mean), std: v.optional(std) });
const about = v.strictObject({ name: string, mean, std });
const aboutFile = v.strictObject({ train: about, test: about });

/** The options of `cifar10`. */
export interface Cifar10Options {
  /** Per channel, of pixel values scaled to 0 … 1; default that of `deepzero.json`, or else `CIFAR10_MEAN`. */
  mean?: readonly number[];
  /** Per channel, of pixel values scaled to 0 … 1; default that of `deepzero.json`, or else `CIFAR10_STD`. */
  std?: readonly number[];
}

/** The folder itself, or the official archive's folder inside it. */
async function findBatches(folder: string): Promise<{ folder: string; trainFiles: string[] }> {
  if (!(await exists(folder))) throw new FileError(folder, 'folder does not exist');
  if (!(await stat(folder)).isDirectory()) {
    throw new FileError(folder, 'is a file, expected a folder with CIFAR-10 batches');
  }
  for (const candidate of [folder, join(folder, OFFICIAL_FOLDER)]) {
    const present = await Promise.all(TRAIN_FILES.map((name) => exists(join(candidate, name))));
    const trainFiles = TRAIN_FILES.filter((_, i) => present[i]);
    if (trainFiles.length > 0) return { folder: candidate, trainFiles };
  }
  throw new FileError(folder, `holds none of ${TRAIN_FILES.join(', ')} (CIFAR-10's binary version)`);
}

/** How many images a batch file holds, from its size alone. */
function countImages({ path, size }: InputFile): number {
  if (size === 0) throw new FileError(path, `is empty, expected records of ${RECORD_BYTES} bytes`);
  const rest = size % RECORD_BYTES;
  if (rest === 0) return size / RECORD_BYTES;
  const problem = `${size} bytes are not a whole number of records of ${RECORD_BYTES} (${rest} left over)`;
  throw new FileError(path, `${problem}: truncated, or not a CIFAR-10 batch`);
}

/** Records that are read at a time. */
const CHUNK = 1024;

/** Reads the records of a batch into images and labels from number `at` on. */
async function readRecords(input: InputFile, { images, labels }: Records, at: number): Promise<void> {
  const count = countImages(input);
  const chunk = new Uint8Array(Math.min(CHUNK, count) * RECORD_BYTES);
  for (let i = 0; i < count; i++) {
    const begin = (i % CHUNK) * RECORD_BYTES;
    if (begin === 0) await input.read(chunk.subarray(0, (count - i) * RECORD_BYTES), i * RECORD_BYTES);
    const label = chunk[begin]!;
    if (label >= CLASSES) {
      const record = `record ${i} (byte ${i * RECORD_BYTES})`;
      throw new FileError(input.path, `${record} has label ${label}, expected 0 to ${CLASSES - 1}`);
    }
    labels[at + i] = label;
    images.set(chunk.subarray(begin + 1, begin + RECORD_BYTES), (at + i) * IMAGE_BYTES);
  }
}

interface Records {
  readonly images: Uint8Array;
  readonly labels: Uint8Array;
}

/** The records of batch files, one after the other, and how many each holds. */
async function readBatches(files: readonly string[]): Promise<Records & { counts: readonly number[] }> {
  const counts = await Promise.all(files.map((file) => withInputFile(file, countImages)));
  const count = counts.reduce((sum, each) => sum + each, 0);
  const records = { images: new Uint8Array(count * IMAGE_BYTES), labels: new Uint8Array(count) };
  let at = 0;
  for (const [i, file] of files.entries()) {
    await withInputFile(file, async (input) => {
      if (countImages(input) !== counts[i]) throw new FileError(file, 'was changed while it was read');
      await readRecords(input, records, at);
    });
    at += counts[i]!;
  }
  return { ...records, counts };
}

/** The files that hold fewer images than the others, where `writeCifar10` spreads them evenly and CIFAR-10 itself does. */
function shortFiles(train: readonly [file: string, count: number][], testCount: number): string[] {
  const longest = Math.max(...train.map(([, count]) => count));
  const short = train.filter(([, count]) => count < longest - 1).map(([file]) => file);
  return longest === WHOLE && testCount < WHOLE ? [...short, TEST_FILE] : short;
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

/** CIFAR-10's, or those that `writeCifar10` wrote beside other sets. */
async function readAbout(file: string): Promise<AboutSets> {
  const ofCifar10 = (name: string): About => ({ name, mean: CIFAR10_MEAN, std: CIFAR10_STD });
  if (!(await exists(file))) return { train: ofCifar10(CIFAR10_TRAIN), test: ofCifar10('cifar10 test') };
  return parseContent(aboutFile, await readJson(file), file);
}

/**
 * Loads CIFAR-10 from a folder with its binary files, or from one that holds `cifar-10-batches-bin/`. Any number
 * of training batches and any number of whole records in each are accepted; `missing` and `short` name those that CIFAR-10 would
 * have. Class names come from `batches.meta.txt` where there is one, and name and normalisation of another set in these files
 * from `deepzero.json`, which `writeCifar10` writes.
 *
 * @throws FileError naming the file and, for a bad label, the record: for a missing folder or test batch, an
 *   empty or truncated batch, a label over 9, a `deepzero.json` whose content is not as `writeCifar10` writes it.
 * @example const { train, test } = await cifar10('data/cifar-10-batches-bin');
 */
export async function cifar10(path: string, options: Cifar10Options = {}): Promise<ImageDatasets> {
  const given = parseOptions(cifar10Options, options, 'cifar10');
  const { folder, trainFiles } = await findBatches(checked(string, path, 'the folder of CIFAR-10'));
  const about = await readAbout(join(folder, ABOUT_FILE));
  const classNames = await readClassNames(join(folder, NAMES_FILE));
  const test = await readBatches([join(folder, TEST_FILE)]);
  const train = await readBatches(trainFiles.map((name) => join(folder, name)));
  const setOf = ({ images, labels }: Records, { name, ...look }: About): ImageDataset =>
    new ImageDataset({
      ...{ name, images, labels, shape: SHAPE, classNames },
      mean: given.mean ?? look.mean,
      std: given.std ?? look.std,
    });
  return {
    train: setOf(train, about.train),
    test: setOf(test, about.test),
    missing: TRAIN_FILES.filter((name) => !trainFiles.includes(name)),
    short: shortFiles(
      trainFiles.map((name, i) => [name, train.counts[i]!]),
      test.labels.length,
    ),
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
  checked(integer(leastCount), count, `the number of ${what} images`);
  if (!SHAPE.every((size, i) => shape[i] === size)) {
    throw expected(`the shape of ${what} images`, '[3, 32, 32]', shape);
  }
  if (classes !== CLASSES) throw expected(`the number of ${what} classes`, String(CLASSES), classes);
  const name = dataset.classNames.find((one) => one !== one.trim() || /[\r\n]/.test(one));
  if (name !== undefined) throw expected(`the names of ${what} classes`, 'lines without spaces around them', name);
}

/**
 * Writes two data sets of 3×32×32 images in ten classes as CIFAR-10's files: five training batches of nearly
 * equal length, the test batch, the class names, and beside them `deepzero.json` with names and normalisation, so that `cifar10`
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
    throw expected('the names of test classes', 'those of the training classes', test.classNames);
  }
  await makeFolder(checked(string, folder, 'the folder to write to'));
  const bound = (batch: number): number => Math.floor((train.count * batch) / TRAIN_FILES.length);
  // The images last: `cifar10` refuses a folder without them, whatever else it has.
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
