/**
 * Converts a model's parameters and running statistics to named tensors, with PyTorch's names and shapes, and back.
 *
 * @module
 */
import * as v from 'valibot';

import type { CompiledNetwork } from '../network/compile.js';
import { compile } from '../network/compile.js';
import type { Network } from '../network/description.js';
import { FileError, InvalidArgumentError, label, show } from '../support/errors.js';
import { parseJson } from '../support/json.js';
import type { SafetensorsFile, Tensor, TensorHeader } from '../support/safetensors.js';
import { expected, isObject, oneOf, parseContent } from '../support/schema.js';
import { version } from '../support/version.js';
import { CONVERTED, indexOfInvalid, toFloat32 } from './float32.js';
import { matchNames } from './names.js';
import type { ModelLoss } from './losses.js';
import { isRolloutLoss, LOSSES, nameOfLoss } from './losses.js';
import { checkLoss } from './problem.js';

/** A point: the flat array of all trainable parameters, and that of all running statistics. */
export interface Weights {
  /** θ, as long as the network has parameters. */
  readonly parameters: Float32Array;
  /** Running means and variances of batch norms. */
  readonly statistics: Float32Array;
}

/** Refuses arrays that do not fit a network. */
export function checkWeights(weights: Weights, { parameterCount, statisticsCount }: CompiledNetwork): Weights {
  if (!isObject(weights)) throw expected('weights', 'an object of parameters and statistics', weights);
  const lengths = { parameters: parameterCount, statistics: statisticsCount };
  for (const [key, length] of Object.entries(lengths)) {
    const values = weights[key as keyof Weights];
    if (values instanceof Float32Array && values.length === length) continue;
    throw expected(`weights.${key}`, `a Float32Array of ${length}`, values);
  }
  return weights;
}

/** A file of named tensors, on disk or in memory. */
export type TensorFile = Pick<SafetensorsFile, 'path' | 'metadata' | 'read'> & {
  readonly headers: ReadonlyMap<string, Pick<TensorHeader, 'dtype' | 'shape'>>;
};

/** The named tensors of a point, as views. */
function viewsOf(compiled: CompiledNetwork, { parameters, statistics }: Weights) {
  const views = (
    all: Float32Array,
    infos: readonly { name: string; shape: number[]; offset: number; size: number }[],
  ) => infos.map(({ name, shape, offset, size }) => ({ name, shape, data: all.subarray(offset, offset + size) }));
  return [...views(parameters, compiled.parameters), ...views(statistics, compiled.statistics)];
}

/** The point as tensors, views to write before the point changes. */
export function toTensors(compiled: CompiledNetwork, weights: Weights): Map<string, Tensor> {
  return new Map(viewsOf(compiled, weights).map(({ name, shape, data }) => [name, { dtype: 'F32', shape, data }]));
}

/** The metadata of a weights file, for `describedIn`. */
export function toMetadata({ network, loss }: { network: Network; loss: ModelLoss }): Record<string, string> {
  const kind = typeof loss === 'string' ? {} : { lossOf: isRolloutLoss(loss) ? 'rollouts' : 'outputs' };
  return { writer: `deepzero ${version}`, loss: nameOfLoss(loss), ...kind, network: JSON.stringify(network) };
}

/** A value that is invalid in its tensor. */
export interface InvalidValue {
  /** `fc.bias[1]` */
  readonly place: string;
  readonly value: number;
  readonly constraint: string;
}

/** The first value that is infinite, NaN, or a variance below 0. */
function invalidIn(name: string, data: Float32Array): InvalidValue | undefined {
  const isVariance = name.endsWith('.running_var');
  const at = indexOfInvalid(data, isVariance ? 0 : undefined);
  if (at < 0) return undefined;
  const value = data[at]!;
  return { place: `${name}[${at}]`, value, constraint: value < 0 && isVariance ? 'a number >= 0' : 'a finite number' };
}

/** The first value that is invalid in a model or an optimizer's state. */
export function findInvalid(tensors: ReadonlyMap<string, Tensor>): InvalidValue | undefined {
  for (const [name, { dtype, data }] of tensors) {
    const found = dtype === 'F32' ? invalidIn(name, data as Float32Array) : undefined;
    if (found) return found;
  }
  return undefined;
}

/** Refuses values that `load` would refuse. */
export function checkValues(file: string, tensors: ReadonlyMap<string, Tensor>): void {
  const found = findInvalid(tensors);
  if (!found) return;
  throw new FileError(file, `is not written: ${found.place} is ${found.value}, expected ${found.constraint}`);
}

const savedLoss = v.object({ loss: v.optional(oneOf(LOSSES)) });

/**
 * The network and the loss of a weights file: those of the caller, or else those in its metadata. The default loss is
 * `cross-entropy`. If the caller gives the network, the file may be another program's, and an unknown loss in it is ignored.
 *
 * @throws FileError if there is no network, the metadata's network or loss is invalid, or its loss is one of outputs, of which
 *   the file holds only the name.
 * @throws InvalidArgumentError if the caller's network is invalid.
 */
export function describedIn(
  { path, metadata }: Pick<TensorFile, 'path' | 'metadata'>,
  given: { network?: Network | undefined; loss?: ModelLoss | undefined },
): { network: Network; loss: ModelLoss; compiled: CompiledNetwork } {
  if (given.loss === undefined && metadata['lossOf'] !== undefined) {
    const loss = show(metadata['loss']);
    const kind = metadata['lossOf'] === 'rollouts' ? 'one of rollouts' : 'a function of the outputs';
    throw new FileError(path, (name) => `its loss is ${loss}, ${kind}: give it by ${name}`, {
      option: 'loss',
    });
  }
  if (given.network) {
    const loss = given.loss ?? LOSSES.find((known) => known === metadata['loss']) ?? 'cross-entropy';
    return { network: given.network, loss, compiled: compile(given.network) };
  }
  if (metadata['network'] === undefined) {
    throw new FileError(path, (name) => `expected a network in the metadata, found none: give it by ${name}`, {
      option: 'network',
    });
  }
  const network = parseJson(metadata['network'], path, '"network" in the metadata') as Network;
  const loss = given.loss ?? parseContent(savedLoss, metadata, path).loss ?? 'cross-entropy';
  try {
    const compiled = compile(network);
    if (given.loss === undefined) checkLoss({ network, compiled, loss });
    return { network, loss, compiled };
  } catch (cause) {
    if (!(cause instanceof InvalidArgumentError)) throw cause;
    throw new FileError(path, `in the metadata: ${cause.message}`, { cause });
  }
}

/** Prefixes of the other tensors in a checkpoint, which is a weights file with a `run` in its metadata. */
const STATE_PREFIXES = ['optimizer.', 'mask.'];

/** Whether a tensor is no part of a model: PyTorch's counters, on which no result depends, and the state of a run. */
function ignored(name: string, metadata: TensorFile['metadata']): boolean {
  if (name.endsWith('.num_batches_tracked')) return true;
  return 'run' in metadata && STATE_PREFIXES.some((prefix) => name.startsWith(prefix));
}

/** Weights from a file. */
export interface LoadedWeights extends Weights {
  /** Sentences on their differences from the file's. */
  readonly notes: readonly string[];
}

/**
 * Reads a network's weights from a file. It checks the header before it allocates anything.
 *
 * @throws FileError naming the extra, missing and wrongly shaped tensors, or the first invalid value.
 */
export async function readPoint(source: TensorFile, compiled: CompiledNetwork): Promise<LoadedWeights> {
  const { path, headers, metadata } = source;
  const theirs = [...headers.keys()].filter((name) => !ignored(name, metadata));
  const { names, notes } = matchNames(theirs, compiled);
  checkHeaders(source, theirs, names, compiled);
  const weights = {
    /** θ, as long as the network has parameters. */
    parameters: new Float32Array(compiled.parameterCount),
    /** Running means and variances of batch norms. */
    statistics: new Float32Array(compiled.statisticsCount),
  };
  let rounded = 0;
  for (const { name, data } of viewsOf(compiled, weights)) {
    if (await readNumbers(source, names.get(name)!, data)) rounded += 1;
    const invalid = invalidIn(name, data);
    if (invalid)
      throw new FileError(path, `expected ${invalid.place} to be ${invalid.constraint}, found ${invalid.value}`);
  }
  if (rounded > 0) {
    notes.push(`The numbers of ${rounded} tensor${rounded === 1 ? '' : 's'} are rounded from F64 to float32.`);
  }
  return { ...weights, notes };
}

/** Fills an array with a tensor's numbers. @returns whether any was rounded. */
async function readNumbers(source: TensorFile, name: string, into: Float32Array): Promise<boolean> {
  const { dtype } = source.headers.get(name)!;
  if (dtype === 'F32') {
    await source.read(name, into);
    return false;
  }
  const data = await source.read(name);
  const { changed, tooLarge } = toFloat32(dtype, data, into);
  if (tooLarge < 0) return changed;
  const place = `${label(name)}[${tooLarge}]`;
  throw new FileError(source.path, `expected ${place} to be a number that float32 can hold, found ${data[tooLarge]!}`);
}

function checkHeaders(
  { path, headers }: TensorFile,
  theirs: readonly string[],
  names: ReadonlyMap<string, string>,
  compiled: CompiledNetwork,
): void {
  const known = new Set(names.values());
  const ours = [...compiled.parameters, ...compiled.statistics];
  const missing = ours.filter(({ name }) => !headers.has(names.get(name)!)).map(({ name }) => label(name));
  const extra = theirs.filter((name) => !known.has(name)).map(label);
  const wrong = ours.flatMap(({ name, shape }) => {
    const found = headers.get(names.get(name)!);
    const isFloat = found?.dtype === 'F32' || (found && CONVERTED.includes(found.dtype));
    if (!found || (isFloat && found.shape.join() === shape.join())) return [];
    return [`${label(name)} is ${found.dtype} ${show(found.shape)}, expected F32 ${show(shape)}`];
  });
  const problems = [...list('missing', missing), ...list('extra', extra), ...list('wrong', wrong)];
  if (problems.length > 0) throw new FileError(path, `the tensors do not fit the network: ${problems.join('; ')}`);
}

const LISTED = 8;

function list(kind: string, items: readonly string[]): string[] {
  if (items.length === 0) return [];
  const rest = items.length > LISTED ? ` and ${items.length - LISTED} more` : '';
  return [`${kind} ${items.slice(0, LISTED).join(', ')}${rest}`];
}
