/**
 * Checks that a batch or a data set fits a network and a loss, for native code to rely on, and the accuracy of outputs.
 *
 * @module
 */
import { basename } from 'node:path';

import { inline, InvalidArgumentError, quote } from '../support/errors.js';
import { checked, expected, integer, isObject, string } from '../support/schema.js';
import type { Batch, Dataset } from '../data/dataset.js';
import type { CompiledNetwork } from '../network/compile.js';
import type { Network } from '../network/description.js';
import type { ModelLoss, RolloutLoss, SimulatorSizes } from './losses.js';
import { checkOutputsLoss, isOutputsLoss, isRolloutLoss, nameOfLoss } from './losses.js';

/** A network with its loss; a model is one. */
export interface Target {
  readonly network: Network;
  readonly compiled: CompiledNetwork;
  readonly loss: ModelLoss;
}

/** The shape of what a batch has for every image: the network's input, or of rollouts the simulator's parameters and first state. */
export function itemShape({ network, loss }: Pick<Target, 'network' | 'loss'>): Network['input'] {
  return isRolloutLoss(loss) ? [loss.sizes.parameters + loss.sizes.state, 1, 1] : network.input;
}

/** The outputs that a pass has for every image: the network's, or of rollouts the values of all steps. */
export function outputsOf({ compiled, loss }: Pick<Target, 'compiled' | 'loss'>): number {
  return isRolloutLoss(loss) ? loss.steps * loss.sizes.values : compiled.outputs;
}

/** Refuses an object that is no loss, and a network that does not suit the loss. */
export function checkLoss({ network, compiled, loss }: Target): void {
  if (isRolloutLoss(loss)) {
    checkRollout(network, compiled, loss);
    return;
  }
  if (isOutputsLoss(loss)) {
    checkOutputsLoss(loss);
    return;
  }
  const { outputs, outputShape } = compiled;
  if (loss !== 'cross-entropy' || outputs === outputShape[0]) return;
  throw new InvalidArgumentError(
    `Expected the network to have one output per class for the loss cross-entropy, received a map of ${outputShape.join('×')}: ` +
      'end it with a globalAveragePool or flatten, and a linear layer',
  );
}

function checkRollout(network: Network, compiled: CompiledNetwork, { simulator, sizes }: RolloutLoss): void {
  const check = (what: 'input' | 'output', of: keyof SimulatorSizes, found: readonly number[]): void => {
    const wanted = sizes[of] as readonly number[];
    if (found.join() === wanted.join()) return;
    throw new InvalidArgumentError(
      `Expected the network to have an ${what} of ${wanted.join('×')}, the simulator's ${of}, received ${found.join('×')}: ` +
        `the simulator is ${inline(basename(simulator))}`,
    );
  };
  check('input', 'observation', network.input);
  check('output', 'output', compiled.outputShape);
  if (compiled.statisticsCount === 0) return;
  throw new InvalidArgumentError(
    'Expected a network without batch norm for rollouts: its statistics would mix trajectories',
  );
}

/** Refuses a batch whose images, labels or targets do not fit. */
export function checkBatch(batch: Batch, target: Target): void {
  const { compiled, loss } = target;
  if (!isObject(batch)) throw expected('batch', 'an object', batch);
  const { count, labels, targets } = batch;
  checkImages(batch, itemShape(target));
  if (loss === 'cross-entropy') {
    checkArray(labels, Int32Array, count, 'batch.labels', `a class for each of ${count} images, for the loss ${loss}`);
    const wrong = labels.findIndex((label) => label < 0 || label >= compiled.outputs);
    const range = `from 0 to ${compiled.outputs - 1}, the network's outputs`;
    if (wrong >= 0) throw expected(`batch.labels[${wrong}]`, range, labels[wrong]);
  } else {
    const needless = isOutputsLoss(loss) || (isRolloutLoss(loss) && loss.loss === 'simulator' && !targets);
    if (!needless) checkArray(targets, Float32Array, count * outputsOf(target), 'batch.targets', rowsOf(count, target));
    if (labels) checkArray(labels, Int32Array, count, 'batch.labels', `a class for each of ${count} images`);
  }
}

/** The targets that a loss requires. */
function rowsOf(count: number, { compiled, loss }: Target): string {
  const forLoss = `for the loss ${nameOfLoss(loss)}`;
  if (!isRolloutLoss(loss)) return `${compiled.outputs} outputs for each of ${count} images, ${forLoss}`;
  const { steps, sizes } = loss;
  const rows = `${times(steps, 'step')} × ${times(sizes.values, 'value')} for each of ${times(count, 'trajectory', 'trajectories')}`;
  const needless = sizes.hasLoss ? " (the simulator's own loss needs none)" : '';
  return `${rows}, ${forLoss}${needless}`;
}

function times(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** Refuses images that do not fit a network. */
export function checkImages({ images, count }: Pick<Batch, 'images' | 'count'>, shape: Network['input']): void {
  if (!Number.isSafeInteger(count) || count < 1) throw expected('batch.count', 'an integer >= 1', count);
  const size = count * shape[0] * shape[1] * shape[2];
  checkArray(images, Float32Array, size, 'batch.images', `${count} images of ${shape.join('×')}`);
}

function checkArray<T extends Float32Array | Int32Array>(
  value: T | undefined,
  type: new (length: number) => T,
  length: number,
  what: string,
  reason: string,
): asserts value is T {
  if (!(value instanceof type)) throw expected(what, `of type ${type.name}, ${reason}`, value);
  if (value.length !== length) throw expected(`the length of ${what}`, `${length}, ${reason}`, value.length);
}

/** Refuses a value that is not a model, such as a network. */
export function checkModel(model: Target): void {
  const { compiled, loss } = Object(model) as Partial<Target>;
  if (!compiled || !loss) throw expected('model', 'a Model', model);
}

/** Refuses a data set whose images or classes do not fit, before the first batch is gathered. */
export function checkDataset(
  dataset: Dataset,
  target: Target,
  of: 'images' | 'images and labels' = 'images and labels',
): void {
  checkModel(target);
  checkShape(dataset);
  const { compiled, loss } = target;
  const name = `data set ${quote(dataset.name)}`;
  const shape = itemShape(target);
  if (dataset.shape.join() !== shape.join()) {
    throw new InvalidArgumentError(
      `Expected ${name} to have images of ${shape.join('×')}, ${sourceOf(loss)}, received ${dataset.shape.join('×')}`,
    );
  }
  if (of === 'images and labels' && loss === 'cross-entropy' && (dataset.classes ?? 0) > compiled.outputs) {
    throw new InvalidArgumentError(
      `Expected ${name} to have at most ${compiled.outputs} classes, the network's outputs, received ${dataset.classes}`,
    );
  }
}

/** Where the shape of what a batch has for every image comes from. */
function sourceOf(loss: ModelLoss): string {
  return isRolloutLoss(loss) ? "the simulator's parameters and state" : "the network's input";
}

/** Refuses a value that is not a data set, and an empty data set. */
function checkShape(dataset: Dataset): void {
  const { name, count, shape, batch } = Object(dataset) as Partial<Dataset>;
  if (typeof batch !== 'function') throw expected('the data set', 'one such as the train or the test of synthetic()', dataset); // prettier-ignore
  checked(string, name, "the data set's name");
  checked(integer(1), count, `the images in data set ${quote(name!)}`);
  if (!Array.isArray(shape)) throw expected("the data set's shape", '[channels, height, width]', shape);
}

/** Refuses a batch larger than the data set; `what` is the caller's name for the batch size. */
export function checkBatchSize(batchSize: number, { count, name }: Dataset, what: string): void {
  checked(integer(1), batchSize, what);
  if (batchSize > count) {
    throw expected(what, `at most ${count}, the images in data set ${quote(name)}`, batchSize);
  }
}

/** Images to predict: their number, and the values of those from `start` to before `end`. */
interface Images {
  readonly count: number;
  readonly slice: (start: number, end: number) => Float32Array;
}

/** The images of an array, a batch or a data set; refuses any that do not fit the network. */
export function imagesOf(images: Float32Array | Batch | Dataset, target: Target): Images {
  const input = itemShape(target);
  const size = input[0] * input[1] * input[2];
  if (images instanceof Float32Array) {
    if (images.length === 0 || images.length % size !== 0) {
      throw expected('the length of images', `a multiple of ${size}, from ${sourceOf(target.loss)} ${input.join('×')}`, images.length); // prettier-ignore
    }
    return { count: images.length / size, slice: (start, end) => images.subarray(start * size, end * size) };
  }
  if (!isObject(images) || ArrayBuffer.isView(images)) {
    throw expected('images', 'a Float32Array, a batch or a data set', images);
  }
  if (typeof (images as Partial<Dataset>).batch === 'function') {
    const dataset = images as Dataset;
    checkDataset(dataset, target, 'images');
    const { count } = dataset;
    const batch = (start: number, end: number): Batch =>
      dataset.batch(Uint32Array.from({ length: end - start }, (_, i) => start + i));
    return { count, slice: (start, end) => batch(start, end).images };
  }
  const { images: values, count } = images as Batch;
  checkImages(images as Batch, input);
  return { count, slice: (start, end) => values.subarray(start * size, end * size) };
}

/** The number of rows of `outputs` with their largest output at their label; among equal outputs, the first counts as largest. */
export function countCorrect(outputs: Float32Array, labels: Int32Array): number {
  const width = outputs.length / labels.length;
  let correct = 0;
  for (const [row, label] of labels.entries()) {
    const scores = outputs.subarray(row * width, (row + 1) * width);
    const largest = scores.reduce((best, score, i) => (score > scores[best]! ? i : best), 0);
    if (largest === label) correct++;
  }
  return correct;
}
