/**
 * A native network with its loss and threads: checks what a computation is asked for, runs it as a job, and says in names
 * where a loss was not finite. `Model` adds the point.
 *
 * @module
 */
import * as check from '../support/check.js';
import type { Coordinate } from '../network/coordinates.js';
import { checkCoordinates, coordinateAt, nameOf } from '../network/coordinates.js';
import type { Batch } from '../data/dataset.js';
import type { Watch } from '../native/jobs.js';
import { isNonFinite, NonFiniteLossError, runJob } from '../native/jobs.js';
import { threadsWithin } from '../native/memory.js';
import type {
  LossName,
  NativeComputation,
  NativeEstimate,
  NativeEvaluation,
  NativeGradient,
  NativeJob,
  NativeNetwork,
  NativeProgress,
  NativeReference,
  NativeReferenceResult,
  NativeRequest,
  Precision,
} from '../native/addon.js';
import { native } from '../native/addon.js';
import type { CompiledNetwork } from '../network/compile.js';
import type { Network } from '../network/description.js';
import { checkBatch } from './problem.js';
import type { Stream } from '../native/random.js';
import { Random } from '../native/random.js';
import type { Weights } from './weights.js';

/** How much of the unperturbed pass a query reuses. */
export type Reuse = 'none' | 'block' | 'layer' | 'incremental';

export const REUSES: readonly Reuse[] = ['none', 'block', 'layer', 'incremental'];

/** The step of a finite difference and the point it is taken at. */
export interface DifferenceOptions {
  /** Smoothing parameter μ, > 0. */
  mu: number;
  /** (ℓ(θ + μu) − ℓ(θ − μu)) / 2μ instead of (ℓ(θ + μu) − ℓ(θ)) / μ; default false. */
  central?: boolean;
  /** The point θ; default: the model's parameters. */
  at?: Float32Array;
}

export interface GradientOptions extends Watch {
  /** float32 (default) to train with, or float64 as the ground truth of what an estimator estimates. */
  precision?: Precision;
  /** Batch norm with the batch's statistics (true, default), through which it is differentiated, or with the running ones. */
  training?: boolean;
  /** The point θ; default: the model's parameters. */
  at?: Float32Array;
}

export const PRECISIONS: readonly Precision[] = ['single', 'double'];

export interface ReferenceOptions extends DifferenceOptions {
  /** Distinct flat indices into the parameters, in any order. */
  coordinates: Uint32Array;
}

export interface CoordinatewiseOptions extends ReferenceOptions {
  /**
   * How much of the unperturbed pass a query reuses. `incremental` (default) carries only what the perturbation changes,
   * which is fastest and loses no digits to the subtraction of two losses; `layer` restarts at the perturbed layer,
   * `block` at its residual block and `none` at the input, and they subtract: their results are the same bits as each
   * other's.
   */
  reuse?: Reuse;
}

/** A direction moves every layer, so there is no layer or block to restart from. */
export type RandomizedReuse = 'none' | 'incremental';

export const RANDOMIZED_REUSES: readonly RandomizedReuse[] = ['none', 'incremental'];

export interface RandomizedOptions extends DifferenceOptions {
  /** Random directions, at least 1. */
  queries: number;
  /** Independent standard normal entries, uniform on the unit sphere, or independent entries ±1. */
  distribution: 'gaussian' | 'sphere' | 'rademacher';
  /** Scales each parameter tensor's part of a direction to unit length; default false. */
  perTensor?: boolean;
  /** `incremental` (default) carries what the perturbation changes, `none` runs whole passes and subtracts losses. */
  reuse?: RandomizedReuse;
  /** Direction i is a pure function of (seed, stream, index, i). */
  seed: number;
  /** What they are drawn for: `directions` in training, `pruning` in ZO-GraSP; others keep them apart from these. */
  stream: Stream;
  index: number;
}

/** What a computation's buffers depend on beside its name. */
interface Variant {
  reuse?: Reuse;
  precision?: Precision;
}

type Start<R, T> = (network: NativeNetwork, request: R, progress?: NativeProgress) => NativeJob<T>;

/** The query at which a loss was not finite, in words; if it was a perturbed one, its mu; if it moved a coordinate, which. */
interface Query {
  readonly words: string;
  readonly mu?: number;
  readonly coordinate: Coordinate | null;
}

const BASE: Query = { words: 'at the parameters themselves', coordinate: null };

/** What an engine is made of; a model is one. */
interface Parts {
  readonly network: Network;
  readonly compiled: CompiledNetwork;
  readonly loss: LossName;
  readonly threads: number;
  readonly memory: number | undefined;
}

export class Engine {
  readonly #parts: Parts;
  #native: NativeNetwork | undefined;
  /** What the native buffers are for, where memory is bounded. */
  #buffers: string | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#native = new native.Network(parts.network.input, parts.compiled.operations);
  }

  /** Frees the buffers, after the jobs in flight; no other starts any more. */
  dispose(): void {
    this.#native?.release();
    this.#native = undefined;
  }

  async evaluate(point: Weights, batch: Batch, training: boolean, watch: Watch): Promise<NativeEvaluation> {
    const request = this.#request(point, batch, training, watch);
    return this.#run(
      'evaluate',
      request,
      (network, ...job) => network.evaluate(...job),
      watch,
      () => BASE,
    );
  }

  async gradient(point: Weights, batch: Batch, options: GradientOptions): Promise<NativeGradient> {
    const known = ['precision', 'training', 'at', 'signal', 'onProgress', 'step'] as const;
    const {
      precision = 'single',
      training = true,
      at,
      ...watch
    } = check.options<GradientOptions>(options, 'gradient', known);
    check.oneOf(precision, 'precision', PRECISIONS);
    check.boolean(training, 'training');
    const request = { ...this.#request(movedTo(point, at), batch, training, watch), precision };
    return this.#run(
      'gradient',
      request,
      (network, ...job) => network.gradient(...job),
      watch,
      () => BASE,
    );
  }

  async coordinatewise(
    point: Weights,
    batch: Batch,
    options: CoordinatewiseOptions,
    watch: Watch,
  ): Promise<NativeEstimate> {
    const known = ['mu', 'central', 'at', 'coordinates', 'reuse'] as const;
    const { mu, reuse = 'incremental' } = check.options<CoordinatewiseOptions>(options, 'coordinatewise', known);
    check.oneOf(reuse, 'reuse', REUSES);
    const request = { ...this.#alongBasis(point, batch, options, watch), reuse };
    const query = this.#basisQuery(mu);
    if (reuse !== 'incremental') this.#checkResolution(request);
    return this.#run('coordinatewise', request, (network, ...job) => network.coordinatewise(...job), watch, query);
  }

  async reference(
    point: Weights,
    batch: Batch,
    options: ReferenceOptions,
    watch: Watch,
  ): Promise<NativeReferenceResult> {
    check.options<ReferenceOptions>(options, 'reference', ['mu', 'central', 'at', 'coordinates']);
    const request = this.#alongBasis(point, batch, options, watch);
    const query = this.#basisQuery(options.mu);
    return this.#run('reference', request, (network, ...job) => network.reference(...job), watch, query);
  }

  async randomized(point: Weights, batch: Batch, options: RandomizedOptions, watch: Watch): Promise<NativeEstimate> {
    const drawing = check.options<RandomizedOptions>(options, 'randomized', [
      ...['mu', 'central', 'at', 'queries', 'distribution', 'perTensor', 'reuse', 'seed', 'stream', 'index'],
    ] as const);
    const { mu, queries, distribution, perTensor = false, reuse = 'incremental', seed, stream, index } = drawing;
    const request = {
      ...this.#difference(point, batch, options, watch),
      queries: check.queryCount(queries, 'queries'),
      distribution: check.oneOf(distribution, 'distribution', ['gaussian', 'sphere', 'rademacher']),
      perTensor: check.boolean(perTensor, 'perTensor'),
      reuse: check.oneOf(reuse, 'reuse', RANDOMIZED_REUSES),
      seed: check.integer(seed, 'seed'),
      stream: Random.streamNumber(stream),
      index: check.integer(index, 'index', 0, 0xffff_ffff),
    };
    const query = (at: number): Query => ({
      words: `along random direction ${at} with mu = ${mu}`,
      mu,
      coordinate: null,
    });
    const start: Start<typeof request, NativeEstimate> = (network, ...job) => network.randomized(...job);
    const estimate = await this.#run('randomized', request, start, watch, query);
    // Every parameter moves, so a loss that is the same along all directions did not hear of it.
    if (estimate.values.some((value) => value !== 0)) return estimate;
    if (reuse === 'none') {
      throw check.expected('mu', 'large enough to change the loss along a random direction in float32', mu);
    }
    throw new check.InvalidArgumentError(
      `Expected the loss to change along random directions, received the same along all of ${queries}: does any output depend on the parameters?`,
    );
  }

  #request(point: Weights, batch: Batch, training: boolean, { step }: Watch): NativeRequest {
    const { loss, threads, compiled } = this.#parts;
    checkBatch(batch, this.#parts);
    const { parameters, statistics } = point;
    const at = parameters.findIndex((value) => !Number.isFinite(value));
    if (at >= 0) {
      const coordinate = coordinateAt(compiled, at);
      throw new NonFiniteLossError(`${nameOf(coordinate)} is ${parameters[at]!}`, step ?? null, coordinate);
    }
    const { images, count, labels, targets } = batch;
    const truth = loss === 'cross-entropy' ? { labels: labels! } : { targets: targets! };
    return { parameters, statistics, images, count, loss, ...truth, training, threads };
  }

  #difference(point: Weights, batch: Batch, options: DifferenceOptions, watch: Watch) {
    const { mu, central = false, at } = options;
    return {
      ...this.#request(movedTo(point, at), batch, true, watch),
      mu: check.smoothing(mu, 'mu'),
      central: check.boolean(central, 'central'),
    };
  }

  #alongBasis(point: Weights, batch: Batch, options: ReferenceOptions, watch: Watch): NativeReference {
    const coordinates = checkCoordinates(this.#parts.compiled, options.coordinates);
    return { ...this.#difference(point, batch, options, watch), coordinates };
  }

  /** Where two losses are subtracted, a step that float32 rounds away leaves zero by zero. */
  #checkResolution({ parameters, coordinates, mu }: NativeReference): void {
    const still = coordinates.find((flat) => Math.fround(parameters[flat]! + mu) === parameters[flat]);
    if (still === undefined) return;
    const coordinate = nameOf(coordinateAt(this.#parts.compiled, still));
    throw check.expected('mu', `large enough to move ${coordinate} = ${parameters[still]!} in float32`, mu);
  }

  #basisQuery(mu: number): (at: number) => Query {
    return (at) => {
      const coordinate = coordinateAt(this.#parts.compiled, at);
      return { words: `with ${nameOf(coordinate)} moved by mu = ${mu}`, mu, coordinate };
    };
  }

  /** On as many threads as memory allows. */
  async #run<R extends NativeRequest & Variant, T>(
    computation: NativeComputation,
    request: R,
    start: Start<R, T>,
    watch: Watch,
    queryAt: (at: number) => Query,
  ): Promise<T> {
    const network = this.#native;
    if (!network) throw new Error('This model has been disposed of; make or load another one');
    const fitted = { ...request, threads: this.#makeRoom(network, computation, request) };
    try {
      return await runJob((progress) => start(network, fitted, progress), watch);
    } catch (error) {
      if (!isNonFinite(error)) throw error;
      const query = error.coordinate < 0 ? BASE : queryAt(error.coordinate);
      const problem = `it is NaN or infinite ${query.words}${advice(query, watch)}`;
      throw new NonFiniteLossError(problem, watch.step ?? null, query.coordinate);
    }
  }

  /** The threads that fit. Where memory is bounded, buffers of another computation than the last are freed before its own are made. */
  #makeRoom(network: NativeNetwork, computation: NativeComputation, request: NativeRequest & Variant): number {
    const { memory, threads } = this.#parts;
    if (memory === undefined) return threads;
    const { count: images, reuse = '', precision = '' } = request;
    const bytes = (used: number): number => network.memory(computation, { ...request, threads: used });
    const fitting = threadsWithin(memory, bytes, { threads, images });
    const buffers = `${computation} ${reuse}${precision} ${images} ${fitting}`;
    if (this.#buffers !== buffers) network.release();
    this.#buffers = buffers;
    return fitting;
  }
}

/** The point with other parameters, if there are such. */
export function movedTo(point: Weights, at: Float32Array | undefined): Weights {
  const { parameters, statistics } = point;
  if (at === undefined) return point;
  if (!(at instanceof Float32Array) || at.length !== parameters.length) {
    throw check.expected('at', `a Float32Array of ${parameters.length}, the parameters`, at);
  }
  return { parameters: at, statistics };
}

/** What to do about a loss that is not finite: outside a training run there is no learning rate. */
function advice({ mu }: Query, { step }: Watch): string {
  if (mu !== undefined) return `; lower mu${step === undefined ? '' : ' or the learning rate'}`;
  if (step !== undefined) return '; lower the learning rate, or check the images and targets';
  return '; check the images and targets, and whether the weights grew too large, as at too high a learning rate';
}
