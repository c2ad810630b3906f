/**
 * A native network with its loss and threads: checks a computation's arguments, runs it as a job, and names the coordinate in
 * the error if a loss is not finite. `Model` adds the point.
 *
 * @module
 */
import type * as v from 'valibot';

import { InvalidArgumentError, show } from '../support/errors.js';
import { expectedOption, parseOptions } from '../support/schema.js';
import type { Coordinate } from '../network/coordinates.js';
import { checkCoordinates, coordinateAt, nameOf } from '../network/coordinates.js';
import type { Batch } from '../data/dataset.js';
import type { CallOptions } from '../native/jobs.js';
import { isNonFinite, runJob } from '../native/jobs.js';
import { threadsWithin } from '../native/memory.js';
import type {
  NativeComputation,
  NativeJob,
  NativeNetwork,
  NativeProgress,
  NativeReference,
  NativeRequest,
} from '../native/addon.js';
import { native } from '../native/addon.js';
import type { CompiledNetwork } from '../network/compile.js';
import { programOf } from '../network/compile.js';
import type { Network } from '../network/description.js';
import type {
  CoordinatewiseOptions,
  ForwardOptions,
  GradientOptions,
  GradientResult,
  MemoryOptions,
  MemoryUse,
  PassResult,
  Precision,
  QueryCost,
  QueryResult,
  RandomizedOptions,
  ReferenceOptions,
  ReferenceResult,
  Reuse,
} from './options.js';
import {
  coordinatewiseOptions,
  memoryOptions,
  forwardOptions,
  gradientOptions,
  randomizedOptions,
  referenceOptions,
} from './options.js';
import { indexOfInvalid } from './float32.js';
import { NonFiniteLossError } from './non-finite.js';
import type { LossName } from './problem.js';
import { checkBatch } from './problem.js';
import type { Stream } from '../native/random.js';
import { Random } from '../native/random.js';
import type { Weights } from './weights.js';

/** The options that a computation's buffers depend on. */
interface Variant {
  reuse?: Reuse;
  precision?: Precision;
}

type Start<R, T> = (network: NativeNetwork, request: R, progress?: NativeProgress) => NativeJob<T>;

/** A query whose loss was not finite: its description, its mu if it was perturbed, and its coordinate if it perturbed one. */
interface Query {
  readonly description: string;
  readonly mu?: number;
  readonly coordinate: Coordinate | null;
}

const BASE: Query = { description: 'at the parameters themselves', coordinate: null };

/** A compiled network with its loss and its limits; a model is one. */
interface Setup {
  readonly network: Network;
  readonly compiled: CompiledNetwork;
  readonly loss: LossName;
  readonly threads: number;
  readonly memory: number | undefined;
}

export class Evaluator {
  readonly #setup: Setup;
  #native: NativeNetwork | undefined;
  /** The computation that the native buffers belong to, if memory is bounded. */
  #buffers: string | undefined;

  constructor(setup: Setup) {
    this.#setup = setup;
    this.#native = new native.Network(setup.network.input, programOf(setup.network).operations);
  }

  /** Frees the buffers after the pending jobs; later jobs are refused. */
  dispose(): void {
    const network = this.#native;
    this.#native = undefined;
    try {
      network?.release();
    } catch {
      // Garbage collection frees them later; an error here would hide the error that ended the scope.
    }
  }

  async forward(point: Weights, batch: Batch, options: ForwardOptions): Promise<PassResult> {
    const { at, training, ...call } = parseOptions(forwardOptions, options, 'forward');
    const request = this.#request(movedTo(point, at), batch, training, call);
    return this.#run(
      'evaluate',
      request,
      (network, ...job) => network.evaluate(...job),
      call,
      () => BASE,
    );
  }

  async gradient(point: Weights, batch: Batch, options: GradientOptions): Promise<GradientResult> {
    const { at, training, precision, ...call } = parseOptions(gradientOptions, options, 'gradient');
    const request = { ...this.#request(movedTo(point, at), batch, training, call), precision };
    return this.#run(
      'gradient',
      request,
      (network, ...job) => network.gradient(...job),
      call,
      () => BASE,
    );
  }

  async coordinatewise(point: Weights, batch: Batch, options: CoordinatewiseOptions): Promise<QueryResult> {
    const { reuse, ...along } = parseOptions(coordinatewiseOptions, options, 'coordinatewise');
    const request = { ...this.#alongBasis(point, batch, along), reuse };
    const query = this.#basisQuery(along.mu);
    if (reuse !== 'incremental') this.#checkResolution(request);
    return this.#run('coordinatewise', request, (network, ...job) => network.coordinatewise(...job), along, query);
  }

  async reference(point: Weights, batch: Batch, options: ReferenceOptions): Promise<ReferenceResult> {
    const along = parseOptions(referenceOptions, options, 'reference');
    const request = this.#alongBasis(point, batch, along);
    const query = this.#basisQuery(along.mu);
    return this.#run('reference', request, (network, ...job) => network.reference(...job), along, query);
  }

  /** @param draw The directions' stream and index; default: those of training at `options.step`. */
  async randomized(
    point: Weights,
    batch: Batch,
    options: RandomizedOptions,
    draw?: { stream: Stream; index: number },
  ): Promise<QueryResult> {
    const parsed = parseOptions(randomizedOptions, options, 'randomized');
    const { mu, central, at, queries, distribution, perTensor, reuse, seed, ...call } = parsed;
    const { stream, index } = draw ?? { stream: 'directions', index: call.step ?? 0 };
    const request = {
      ...{ ...this.#request(movedTo(point, at), batch, true, call), mu, central },
      ...{ queries, distribution, perTensor, reuse, seed, stream: Random.streamNumber(stream), index },
    };
    const query = (direction: number): Query => ({
      description: `along random direction ${direction} with mu = ${mu}`,
      mu,
      coordinate: null,
    });
    const start: Start<typeof request, QueryResult> = (network, ...job) => network.randomized(...job);
    const estimate = await this.#run('randomized', request, start, call, query);
    if (estimate.values.some((value) => value !== 0)) return estimate;
    if (reuse === 'none') {
      throw expectedOption('mu', 'large enough to change the loss along a random direction in float32', String(mu));
    }
    throw new InvalidArgumentError(
      `Expected the loss to change along a random direction, received the same loss along all of ${queries}: does any output depend on the parameters?`,
    );
  }

  #request(point: Weights, batch: Batch, training: boolean, { step }: CallOptions): NativeRequest {
    const { loss, threads, compiled } = this.#setup;
    checkBatch(batch, this.#setup);
    const { parameters, statistics } = point;
    const at = indexOfInvalid(parameters);
    if (at >= 0) {
      const coordinate = coordinateAt(compiled, at);
      throw new NonFiniteLossError(`${nameOf(coordinate)} is ${parameters[at]!}`, step ?? null, coordinate);
    }
    const { images, count, labels, targets } = batch;
    const truth = loss === 'cross-entropy' ? { labels: labels! } : { targets: targets! };
    return { parameters, statistics, images, count, loss, ...truth, training, threads };
  }

  #alongBasis(point: Weights, batch: Batch, options: v.InferOutput<typeof referenceOptions>): NativeReference {
    const { mu, central, at, coordinates, ...call } = options;
    checkCoordinates(this.#setup.compiled.parameterCount, coordinates);
    return { ...this.#request(movedTo(point, at), batch, true, call), mu, central, coordinates };
  }

  /** Refuses a step that float32 rounds to zero, where two losses are subtracted: their difference would be 0. */
  #checkResolution({ parameters, coordinates, mu }: NativeReference): void {
    const still = coordinates.find((flat) => Math.fround(parameters[flat]! + mu) === parameters[flat]);
    if (still === undefined) return;
    const coordinate = nameOf(coordinateAt(this.#setup.compiled, still));
    throw expectedOption('mu', `large enough to move ${coordinate} = ${parameters[still]!} in float32`, String(mu));
  }

  #basisQuery(mu: number): (at: number) => Query {
    return (at) => {
      const coordinate = coordinateAt(this.#setup.compiled, at);
      return { description: `with ${nameOf(coordinate)} moved by mu = ${mu}`, mu, coordinate };
    };
  }

  /** The work of the coordinates' queries, each once, without the unperturbed pass. */
  async cost(coordinates: Uint32Array): Promise<QueryCost> {
    checkCoordinates(this.#setup.compiled.parameterCount, coordinates);
    const network = this.#open();
    return runJob(() => network.cost({ coordinates }), {});
  }

  memoryOf(point: Weights, batch: Batch, options: MemoryOptions): MemoryUse {
    const { coordinates, reuse } = parseOptions(memoryOptions, options, 'memoryOf');
    checkCoordinates(this.#setup.compiled.parameterCount, coordinates);
    const { memory = Infinity } = this.#setup;
    // The memory does not depend on these two.
    const difference = { mu: 1, central: false };
    const request = { ...this.#request(point, batch, true, {}), ...difference, coordinates, reuse };
    const fit = this.#open().memory('coordinatewise', request, memory);
    return { threads: threadsWithin(memory, fit, batch.count), bytes: fit.bytes };
  }

  #open(): NativeNetwork {
    if (this.#native) return this.#native;
    throw new Error('This model has been disposed of; make or load another one');
  }

  /** Runs a computation on as many threads as memory allows. */
  async #run<R extends NativeRequest & Variant, T>(
    computation: NativeComputation,
    request: R,
    start: Start<R, T>,
    options: CallOptions,
    queryAt: (at: number) => Query,
  ): Promise<T> {
    const network = this.#open();
    const fitted = { ...request, threads: this.#fit(network, computation, request) };
    try {
      return await runJob((progress) => start(network, fitted, progress), options);
    } catch (error) {
      if (!isNonFinite(error)) throw error;
      const query = error.coordinate < 0 ? BASE : queryAt(error.coordinate);
      const problem = `it is NaN or infinite ${query.description}${nonFiniteImage(request) ?? advice(query, options)}`;
      throw new NonFiniteLossError(problem, options.step ?? null, query.coordinate);
    }
  }

  /** The threads that fit into memory. If it is bounded, frees the buffers of the last computation unless this one needs the same. */
  #fit(network: NativeNetwork, computation: NativeComputation, request: NativeRequest & Variant): number {
    const { memory, threads } = this.#setup;
    if (memory === undefined) return threads;
    const { count: images, reuse = '', precision = '' } = request;
    const fit = network.memory(computation, { ...request, threads }, memory);
    const fitting = threadsWithin(memory, fit, images);
    const buffers = `${computation} ${reuse}${precision} ${images} ${fitting}`;
    if (this.#buffers !== buffers) network.release();
    this.#buffers = buffers;
    return fitting;
  }
}

/** The point, with the parameters `at` if given. */
export function movedTo(point: Weights, at: Float32Array | undefined): Weights {
  const { parameters, statistics } = point;
  if (at === undefined) return point;
  if (at.length !== parameters.length) {
    throw expectedOption('at', `a Float32Array of ${parameters.length}, the parameters`, show(at));
  }
  return { parameters: at, statistics };
}

/** The end of a message that names the first image with a value that is not finite, if there is one. */
function nonFiniteImage({ images, count }: NativeRequest): string | undefined {
  const at = indexOfInvalid(images);
  if (at < 0) return undefined;
  const size = images.length / count;
  return `: image ${Math.floor(at / size)} of the batch holds ${images[at]} at ${at % size} of its ${size} values`;
}

/** Advice on a loss that is not finite; there is a learning rate only within a training run. */
function advice({ mu }: Query, { step }: CallOptions): string {
  if (mu !== undefined) return `; lower mu${step === undefined ? '' : ' or the learning rate'}`;
  if (step !== undefined) return '; lower the learning rate, or check the images and targets';
  return '; check the images and targets, and whether the weights grew too large, as at too high a learning rate';
}
