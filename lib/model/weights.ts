/**
 * A model's parameters and running statistics as named tensors, under PyTorch's names and in its shapes, and back.
 *
 * @module
 */
import { FileError, InvalidArgumentError, oneOf } from '../support/check.js';
import type { CompiledNetwork } from '../network/compile.js';
import { compile } from '../network/compile.js';
import type { Network } from '../network/description.js';
import type { LossName } from './problem.js';
import { LOSSES } from './problem.js';
import type { Safetensors, Tensor } from '../support/safetensors.js';
import { readSafetensors } from '../support/safetensors.js';
import { version } from '../support/version.js';

/** The two flat arrays that make up a point: all trainable parameters, and all running statistics. */
export interface Weights {
  readonly parameters: Float32Array;
  readonly statistics: Float32Array;
}

/** A weights file as read, not yet held against a network. */
export interface WeightsFile extends Safetensors {
  readonly file: string;
}

/** A checkpoint is a weights file with a `run` in its metadata and more tensors, whose names start with one of these. */
const STATE_PREFIXES = ['optimizer.', 'mask.'];

/** The named tensors of a point, as views. */
function viewsOf(compiled: CompiledNetwork, { parameters, statistics }: Weights) {
  const views = (
    all: Float32Array,
    infos: readonly { name: string; shape: number[]; offset: number; size: number }[],
  ) => infos.map(({ name, shape, offset, size }) => ({ name, shape, data: all.subarray(offset, offset + size) }));
  return [...views(parameters, compiled.parameters), ...views(statistics, compiled.statistics)];
}

/** The point as tensors to write: views, to be written before the point moves. */
export function toTensors(compiled: CompiledNetwork, weights: Weights): Map<string, Tensor> {
  return new Map(viewsOf(compiled, weights).map(({ name, shape, data }) => [name, { dtype: 'F32', shape, data }]));
}

/** The metadata of a weights file: what `describedIn` reads. */
export function toMetadata({ network, loss }: { network: Network; loss: LossName }): Record<string, string> {
  return { writer: `deepzero ${version}`, loss, network: JSON.stringify(network) };
}

/** The first value that is not finite, as `fc.bias[1] is NaN`. */
export function findNonFinite(tensors: ReadonlyMap<string, Tensor>): string | undefined {
  for (const [name, { dtype, data }] of tensors) {
    if (dtype !== 'F32') continue;
    const at = (data as Float32Array).findIndex((value) => !Number.isFinite(value));
    if (at >= 0) return `${name}[${at}] is ${data[at]!}`;
  }
  return undefined;
}

/** Refuses to put values in a file that nothing could load. */
export function checkFinite(file: string, tensors: ReadonlyMap<string, Tensor>): void {
  const found = findNonFinite(tensors);
  if (found !== undefined) throw new FileError(file, `is not written: ${found}, expected a finite number`);
}

/** Reads a weights file; `fromTensors` then holds it against a network. */
export async function readWeights(file: string): Promise<WeightsFile> {
  return { file, ...(await readSafetensors(file)) };
}

/** The loss in a file's metadata, if it is one of ours: others may mean something else by the word. */
export function lossIn({ metadata }: WeightsFile): LossName | undefined {
  return LOSSES.find((loss) => loss === metadata['loss']);
}

/**
 * The network and the loss that a file's metadata names.
 *
 * @throws FileError if there is no network, or one of them is none of ours.
 */
export function describedIn(weights: WeightsFile): { network: Network; loss: LossName } {
  const { file, metadata } = weights;
  if (metadata['network'] === undefined) {
    throw new FileError(file, 'expected a network in the metadata, found none: say which network the weights are of');
  }
  const network = parseMetadata(weights, 'network') as Network;
  const { loss = 'cross-entropy' } = metadata;
  try {
    compile(network);
    return { network, loss: oneOf(loss, 'loss', LOSSES) };
  } catch (cause) {
    if (!(cause instanceof InvalidArgumentError)) throw cause;
    throw new FileError(file, `in the metadata: ${cause.message}`, { cause });
  }
}

/** A JSON value in a file's metadata. */
export function parseMetadata({ file, metadata }: WeightsFile, key: string): unknown {
  try {
    return JSON.parse(metadata[key] ?? '');
  } catch (cause) {
    throw new FileError(file, `expected ${JSON.stringify(key)} in the metadata to be JSON`, { cause });
  }
}

/**
 * Copies a file's tensors into a point, all or none. PyTorch's `num_batches_tracked` is ignored: nothing depends on it here.
 *
 * @throws FileError naming the extra, missing and wrongly shaped tensors, or the first value that is not finite.
 */
export function fromTensors(
  { file, tensors, metadata }: WeightsFile,
  compiled: CompiledNetwork,
  weights: Weights,
): void {
  const ignored = (name: string): boolean =>
    name.endsWith('.num_batches_tracked') ||
    ('run' in metadata && STATE_PREFIXES.some((prefix) => name.startsWith(prefix)));
  const views = viewsOf(compiled, weights);
  const known = new Set(views.map(({ name }) => name));
  const extra = [...tensors.keys()].filter((name) => !known.has(name) && !ignored(name));
  const missing = views.filter(({ name }) => !tensors.has(name)).map(({ name }) => name);
  const wrong = views.flatMap(({ name, shape }) => {
    const found = tensors.get(name);
    if (!found || (found.dtype === 'F32' && found.shape.join() === shape.join())) return [];
    return [`${name} is ${found.dtype} [${found.shape.join(', ')}], expected F32 [${shape.join(', ')}]`];
  });
  const problems = [...list('missing', missing), ...list('extra', extra), ...list('wrong', wrong)];
  if (problems.length > 0) throw new FileError(file, `the tensors do not fit the network: ${problems.join('; ')}`);
  const filled = views.map(({ name, data }) => ({ name, data, values: tensors.get(name)?.data as Float32Array }));
  for (const { name, values } of filled) {
    const at = values.findIndex((value) => !Number.isFinite(value));
    if (at >= 0) throw new FileError(file, `expected ${name}[${at}] to be finite, found ${values[at]!}`);
  }
  for (const { data, values } of filled) data.set(values);
}

const LISTED = 8;

function list(kind: string, items: readonly string[]): string[] {
  if (items.length === 0) return [];
  const rest = items.length > LISTED ? ` and ${items.length - LISTED} more` : '';
  return [`${kind} ${items.slice(0, LISTED).join(', ')}${rest}`];
}
