/**
 * A training run in one file: a weights file, which `Model.load` reads, with the optimizer's state and the mask as further
 * tensors, and in its metadata the options the run was made with and its position. Random numbers are functions of seed and
 * position, so there is no generator to save. Written atomically: a crash leaves the previous checkpoint.
 *
 * @module
 */
import { createHash } from 'node:crypto';

import * as v from 'valibot';

import { firstDifference } from '../support/differences.js';
import { FileError, show } from '../support/errors.js';
import { parseJson } from '../support/json.js';
import { integer, isObject, leaf, parseContent, string } from '../support/schema.js';
import type { Model } from '../model/model.js';
import { native } from '../native/addon.js';
import type { CompiledNetwork } from '../network/compile.js';
import type { OptimizerState } from '../optimizers/optimizers.js';
import type { Tensor } from '../support/safetensors.js';
import { encodeSafetensors, readSafetensors } from '../support/safetensors.js';
import type { Safetensors, TensorData } from '../support/safetensors.js';
import type { TensorFile, Weights } from '../model/weights.js';
import { checkValues, readPoint, toMetadata, toTensors } from '../model/weights.js';

/** A run's options, and the state of the run beside its model's arrays. */
export interface RunState {
  /** Every option that the results depend on, as JSON. */
  readonly options: object;
  readonly optimizer: OptimizerState;
  /** The coordinates queried at a step, if the estimator has such. */
  maskAt(step: number): Uint32Array | undefined;
}

const FORMAT = 1;
const MASK = 'mask.coordinates';

const runMetadata = v.strictObject({
  format: integer(FORMAT, FORMAT),
  options: leaf<object>('other', 'an object', isObject),
  /** Steps finished. */
  step: integer(),
  /** The optimizer's updates. */
  updates: integer(),
  /** The instruction set in use when it was written: results on another differ in their last bits. */
  isa: string,
});
type RunMetadata = v.InferOutput<typeof runMetadata>;

/** What a run goes on from. */
export type Resumption = Pick<RunMetadata, 'step' | 'isa'>;

/**
 * The bytes of a checkpoint after `step` steps, to be written to `file`: copies, so that the run may go on.
 *
 * @throws FileError if a value is not finite: no run could go on from it.
 */
export function encodeCheckpoint(file: string, model: Model, state: RunState, step: number): Uint8Array[] {
  const mask = state.maskAt(step);
  const tensors = runTensors(model.compiled, model, state.optimizer);
  checkValues(file, tensors);
  if (mask) tensors.set(MASK, { dtype: 'U32', shape: [mask.length], data: mask });
  const { isa } = native;
  const metadata: RunMetadata = { format: FORMAT, options: state.options, step, updates: state.optimizer.step, isa };
  const run = JSON.stringify(metadata);
  return encodeSafetensors(tensors, { ...toMetadata(model), run, sha256: digest(run, tensors) });
}

/**
 * Reads a checkpoint into a model and the optimizer's state, all or nothing.
 *
 * @throws FileError if the file is no checkpoint or a damaged one, or an option differs from `state.options`, naming it.
 */
export async function readCheckpoint(file: string, model: Model, state: RunState): Promise<Resumption> {
  const content = await readSafetensors(file);
  const { options, step, updates, isa } = runOf(file, content);
  const difference = firstDifference(asNamedNow(options), JSON.parse(JSON.stringify(state.options)));
  if (difference) {
    const { path, saved, given } = difference;
    throw new FileError(file, `expected ${path} to be ${saved}, as when the run was saved, received ${given}`);
  }
  checkMask(file, content, state.maskAt(step), step);
  const slots = [...optimizerTensors(model.compiled, state.optimizer)].map(([name, { data }]) => {
    const saved = content.tensors.get(name)?.data;
    if (!(saved instanceof Float32Array) || saved.length !== data.length) {
      throw new FileError(file, `expected a tensor ${name} of ${data.length} numbers`);
    }
    return { data, saved };
  });
  const { parameters, statistics } = await readPoint(fileOf(file, content), model.compiled);
  model.parameters.set(parameters);
  model.statistics.set(statistics);
  for (const { data, saved } of slots) data.set(saved);
  state.optimizer.step = updates;
  return { step, isa };
}

/** Version 0.1 wrote layer-wise ratios as the estimator's `sparsity`. */
function asNamedNow(options: object): object {
  const { estimator } = options as { estimator?: { sparsity?: unknown } };
  if (typeof estimator?.sparsity !== 'object') return options;
  const { sparsity: ratios, ...rest } = estimator;
  return { ...options, estimator: { ...rest, ratios } };
}

function runOf(file: string, { tensors, metadata }: Safetensors): RunMetadata {
  const text = metadata['run'];
  if (text === undefined) throw new FileError(file, 'expected a checkpoint, found weights without a run to resume');
  const run = parseJson(text, file, '"run" in the metadata');
  const { format } = Object(run) as { format?: unknown };
  if (format !== FORMAT) {
    throw new FileError(file, `expected checkpoint format ${FORMAT}, found ${show(format)}, another version's`);
  }
  if (metadata['sha256'] !== digest(text, tensors)) {
    throw new FileError(file, 'is damaged: its content does not match its checksum');
  }
  return parseContent(runMetadata, run, file);
}

/** The mask follows from the options, so a difference means that other code drew it. */
function checkMask(file: string, { tensors }: Safetensors, mask: Uint32Array | undefined, step: number): void {
  const saved = tensors.get(MASK)?.data;
  const same = saved?.length === mask?.length && (mask ?? []).every((flat: number, i: number) => flat === saved?.[i]);
  if (!same) throw new FileError(file, `expected ${MASK} to be what the options yield at step ${step}`);
}

/** Tensors that are read, as a file. */
function fileOf(path: string, { tensors, metadata }: Safetensors): TensorFile {
  const read = (name: string, into?: TensorData): Promise<TensorData> => {
    const { data } = tensors.get(name)!;
    if (into instanceof Float32Array) into.set(data as Float32Array);
    return Promise.resolve(into ?? data);
  };
  return { path, metadata, headers: tensors, read };
}

/** All numbers of a run as views: the model's tensors and the optimizer's. */
export function runTensors(
  compiled: CompiledNetwork,
  weights: Weights,
  optimizer: OptimizerState,
): Map<string, Tensor> {
  return new Map([...toTensors(compiled, weights), ...optimizerTensors(compiled, optimizer)]);
}

/** The optimizer's slots as views, a tensor for every parameter tensor. */
function optimizerTensors(
  compiled: CompiledNetwork,
  { slots }: OptimizerState,
): Map<string, Tensor & { data: Float32Array }> {
  const entries = Object.entries(slots).flatMap(([slot, values]) =>
    compiled.parameters.map(({ name, shape, offset, size }) => {
      const data = values.subarray(offset, offset + size);
      return [`optimizer.${slot}.${name}`, { dtype: 'F32' as const, shape, data }] as const;
    }),
  );
  return new Map(entries);
}

/** Over the run and every tensor, in the order of their names. */
function digest(run: string, tensors: ReadonlyMap<string, Tensor>): string {
  const hash = createHash('sha256').update(run);
  for (const [name, { data }] of [...tensors].sort(([a], [b]) => (a < b ? -1 : 1))) {
    hash.update(name).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest('hex');
}
