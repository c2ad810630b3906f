/**
 * A training run in one file: a weights file, which `Model.load` reads, with the optimizer's state and the mask as further
 * tensors, and with the run's options and position in its metadata. Random numbers are functions of seed and position, so
 * there is no generator to save. Written atomically: a crash leaves the previous checkpoint.
 *
 * @module
 */
import { createHash } from 'node:crypto';

import * as v from 'valibot';

import type { Model } from '../model/model.js';
import type { TensorFile, Weights } from '../model/weights.js';
import { checkValues, readPoint, toMetadata, toTensors } from '../model/weights.js';
import { native } from '../native/addon.js';
import type { CompiledNetwork } from '../network/compile.js';
import type { OptimizerState } from '../optimizers/optimizers.js';
import { differences } from '../support/differences.js';
import { FileError, show } from '../support/errors.js';
import { parseJson } from '../support/json.js';
import type { Safetensors, Tensor, TensorData } from '../support/safetensors.js';
import { encodeSafetensors, readSafetensors } from '../support/safetensors.js';
import { expectedOption, integer, isObject, leaf, object, parseContent, string } from '../support/schema.js';
import { sameMask } from './record/mask.js';

const json = leaf<unknown>('other', 'a JSON value', (value) => value !== undefined);

/** An option that a run changed when it was resumed. */
export const runChange = v.strictObject({
  /** Steps done before the change, >= 0. */
  step: integer(),
  /** When, in ISO 8601. */
  time: string,
  /** `steps`, `optimizer.lr`, … */
  option: string,
  /** The old value as JSON; null if there was none. */
  from: json,
  /** The new value as JSON; null if there is none. */
  to: json,
});
/** An option that a run changed when it was resumed. */
export interface RunChange extends v.InferOutput<typeof runChange> {}

/** Every option that training depends on, as JSON; `steps` is its length. */
export type RunConfig = Readonly<Record<string, unknown>> & { readonly steps: number };

/** The options of a run, and its state apart from the model's arrays. */
export interface RunState {
  readonly config: RunConfig;
  /** The option that gave the length. */
  readonly lengthOption: 'steps' | 'epochs';
  readonly changes: readonly RunChange[];
  /** Loss evaluations of all steps done. */
  readonly queries: number;
  readonly optimizer: OptimizerState;
  /** The coordinates queried at a step, if the estimator chooses coordinates. */
  maskAt(step: number): Uint32Array | undefined;
}

/** `run` in the metadata. */
export const runMetadata = v.strictObject({
  /** The layout's number, >= 0. */
  format: integer(),
  config: object,
  changes: v.array(runChange),
  /** Steps finished, >= 0. */
  step: integer(),
  /** Updates that the optimizer made, >= 0. */
  updates: integer(),
  /** Loss evaluations of all steps, >= 0; absent in files of earlier versions. */
  queries: v.optional(integer()),
  /** The instruction set in use when it was written: others round differently. */
  isa: string,
});
type RunMetadata = v.InferOutput<typeof runMetadata>;

/** The position that a run resumes from. */
export interface Resumption extends Pick<RunMetadata, 'step' | 'queries' | 'isa'> {
  /** The changes that the checkpoint has. */
  readonly earlier: readonly RunChange[];
  /** Those between the checkpoint and the run that reads it. */
  readonly made: readonly RunChange[];
}

const FORMAT = 3;
const MASK = 'mask.coordinates';

/**
 * The bytes of a checkpoint after `step` steps, to be written to `file`: copies, so that the run may go on.
 *
 * @throws FileError if a value is not finite: no run could go on from it.
 */
export function encodeCheckpoint(file: string, model: Model, state: RunState, step: number): Uint8Array[] {
  const { config, changes, queries, optimizer } = state;
  const mask = state.maskAt(step);
  const tensors = runTensors(model.compiled, model, optimizer);
  checkValues(file, tensors);
  if (mask) tensors.set(MASK, { dtype: 'U32', shape: [mask.length], data: mask });
  const metadata: RunMetadata = {
    ...{ format: FORMAT, config, changes: [...changes], step },
    ...{ updates: optimizer.step, queries, isa: native.isa },
  };
  const run = JSON.stringify(metadata);
  return encodeSafetensors(tensors, { ...toMetadata(model), run, sha256: digest(run, tensors) });
}

/**
 * Reads a checkpoint into a model and the optimizer's state, all or nothing.
 *
 * @param mayChange Whether the options that `canChange` names may differ from those of the file.
 * @throws FileError if the file is no checkpoint or a damaged one, or another option differs from `state.config`, naming it;
 *   InvalidArgumentError if the run would be shorter than the steps done, or no step is left for a change.
 */
export async function readCheckpoint(
  file: string,
  model: Model,
  state: RunState,
  mayChange: boolean,
): Promise<Resumption> {
  const content = await readSafetensors(file);
  const { config, changes: earlier, step, updates, queries, isa } = runOf(file, content);
  const made = changesBetween(file, step, config, state, mayChange);
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
  return { step, queries, isa, earlier, made };
}

/** Whether a resumed run may change an option: its length, and the options of its optimizer except the kind. */
const canChange = (path: string): boolean => /^(?:steps$|optimizer\.(?!kind$))/.test(path);

/** The options that differ, if they are allowed to. */
function changesBetween(
  file: string,
  step: number,
  saved: object,
  { config, lengthOption }: RunState,
  mayChange: boolean,
): RunChange[] {
  const given = JSON.parse(JSON.stringify(config)) as RunConfig;
  const found = differences(saved, given);
  const refused = found.find(({ path }) => !mayChange || !canChange(path));
  if (refused) {
    const why = mayChange
      ? ': a resumed run can only change steps and the options of its optimizer, the results so far depend on the others'
      : '';
    throw new FileError(
      file,
      `expected ${refused.path} to be ${refused.saved}, as when the run was saved, received ${refused.given}${why}`,
    );
  }
  const inSteps = (count: number): string => `${count} step${count === 1 ? '' : 's'}`;
  if (given.steps < step) {
    throw expectedOption(lengthOption, `at least ${inSteps(step)}, those done`, inSteps(given.steps));
  }
  const time = new Date().toISOString();
  // A schedule counts as one option, wherever it differs.
  const options = new Set(found.map(({ path }) => path.split('.', 2).join('.')));
  const [late] = options;
  if (late !== undefined && given.steps === step && !options.has('steps')) {
    const why = `more than ${inSteps(step)}, those done, for a change of ${late} to have an effect`;
    throw expectedOption(lengthOption, why, inSteps(given.steps));
  }
  return [...options].map((option) => {
    return { step, time, option, from: at(saved, option), to: at(given, option) };
  });
}

function at(config: object, path: string): unknown {
  const value = path.split('.').reduce<unknown>((part, key) => (isObject(part) ? part[key] : undefined), config);
  return value ?? null;
}

/** Steps done, by a checkpoint's metadata alone, in any version's format; its tensors may still be damaged. */
export function stepsIn(file: string, metadata: Safetensors['metadata']): number {
  return parseContent(v.object({ step: integer() }), runIn(file, metadata).content, file).step;
}

function runIn(file: string, metadata: Safetensors['metadata']): { readonly text: string; readonly content: unknown } {
  const text = metadata['run'];
  if (text === undefined) throw new FileError(file, 'expected a checkpoint, found weights without a run to resume');
  return { text, content: parseJson(text, file, '"run" in the metadata') };
}

function runOf(file: string, { tensors, metadata }: Safetensors): RunMetadata {
  const { text, content } = runIn(file, metadata);
  checkFormat(file, content, FORMAT);
  if (metadata['sha256'] !== digest(text, tensors)) {
    throw new FileError(file, 'is damaged: its content does not match its checksum');
  }
  return parseContent(runMetadata, content, file);
}

/** Refuses a run's file in the format of another version. */
export function checkFormat(file: string, content: unknown, expected: number): void {
  if (!isObject(content) || content['format'] === expected) return;
  const found = content['format'] === undefined ? 'no format' : `format ${show(content['format'])}`;
  throw new FileError(
    file,
    `was written by another version (${found}, expected ${expected}): start a new run; the old one's weights load by Model.load or train --weights`,
  );
}

/** The length of a run in steps, of ⌊count / batchSize⌋ steps an epoch. */
export function totalSteps(epochs: number, count: number, batchSize: number): number {
  return Math.max(1, Math.round(epochs * Math.floor(count / batchSize)));
}

/** The mask follows from the options, so if it differs, other code drew it. */
function checkMask(file: string, { tensors }: Safetensors, mask: Uint32Array | undefined, step: number): void {
  const saved = tensors.get(MASK)?.data as Uint32Array | undefined;
  if (!sameMask(saved, mask))
    throw new FileError(file, `expected ${MASK} to be what the options yield at step ${step}`);
}

/** Tensors that have been read, as a file. */
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
      const data = (values as Float32Array).subarray(offset, offset + size);
      return [`optimizer.${slot}.${name}`, { dtype: 'F32' as const, shape, data }] as const;
    }),
  );
  return new Map(entries);
}

/** SHA-256 of the run and of every tensor with its name, in the order of the names. */
function digest(run: string, tensors: ReadonlyMap<string, Tensor>): string {
  const hash = createHash('sha256').update(run);
  for (const [name, { data }] of [...tensors].sort(([a], [b]) => (a < b ? -1 : 1))) {
    hash.update(name).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest('hex');
}
