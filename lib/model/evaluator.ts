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
import type { Network } from '../network/description.js';
import type {
  CoordinatewiseOptions,
  DifferenceOptions,
  ForwardOptions,
  GradientOptions,
  GradientResult,
  PassResult,
  Precision,
  QueryResult,
  RandomizedOptions,
  ReferenceOptions,
  ReferenceResult,
  Reuse,
} from './options.js';
import { CALL_OPTIONS, DISTRIBUTIONS, PRECISIONS, RANDOMIZED_REUSES, REUSES } from './options.js';
import { NonFiniteLossError } from './non-finite.js';
import type { LossName } from './problem.js';
import { checkBatch } from './problem.js';
import type { Stream } from '../native/random.js';
import { Random } from '../native/random.js';
import type { Weights } from './weights.js';

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

/** A compiled network, its loss and its limits; a model is one. */
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
  /** What the native buffers are for, where memory is bounded. */
  #buffers: string | undefined;

  constructor(setup: Setup) {
    this.#setup = setup;
    this.#native = new native.Network(setup.network.input, setup.compiled.operations);
  }

  /** Frees the buffers, after the jobs in flight; no other starts any more. */
  dispose(): void {
    this.#native?.release();
    this.#native = undefined;
  }

  async forward(point: Weights, batch: Batch, options: ForwardOptions): Promise<PassResult> {
    const known = ['training', 'at', ...CALL_OPTIONS] as const;
    const { training = false, at } = check.options<ForwardOptions>(options, 'forward', known);
    check.boolean(training, 'training');
    const request = this.#request(movedTo(point, at), batch, training, options);
    return this.#run(
      'evaluate',
      request,
      (network, ...job) => network.evaluate(...job),
      options,
      () => BASE,
    );
  }

  async gradient(point: Weights, batch: Batch, options: GradientOptions): Promise<GradientResult> {
    const known = ['precision', 'training', 'at', ...CALL_OPTIONS] as const;
    const { precision = 'single', training = true, at } = check.options<GradientOptions>(options, 'gradient', known);
    check.oneOf(precision, 'precision', PRECISIONS);
    check.boolean(training, 'training');
    const request = { ...this.#request(movedTo(point, at), batch, training, options), precision };
    return this.#run(
      'gradient',
      request,
      (network, ...job) => network.gradient(...job),
      options,
      () => BASE,
    );
  }

  async coordinatewise(point: Weights, batch: Batch, options: CoordinatewiseOptions): Promise<QueryResult> {
    const known = ['mu', 'central', 'at', 'coordinates', 'reuse', ...CALL_OPTIONS] as const;
    const { mu, reuse = 'incremental' } = check.options<CoordinatewiseOptions>(options, 'coordinatewise', known);
    check.oneOf(reuse, 'reuse', REUSES);
    const request = { ...this.#alongBasis(point, batch, options), reuse };
    const query = this.#basisQuery(mu);
    if (reuse !== 'incremental') this.#checkResolution(request);
    return this.#run('coordinatewise', request, (network, ...job) => network.coordinatewise(...job), options, query);
  }

  async reference(point: Weights, batch: Batch, options: ReferenceOptions): Promise<ReferenceResult> {
    check.options<ReferenceOptions>(options, 'reference', ['mu', 'central', 'at', 'coordinates', ...CALL_OPTIONS]);
    const request = this.#alongBasis(point, batch, options);
    const query = this.#basisQuery(options.mu);
    return this.#run('reference', request, (network, ...job) => network.reference(...job), options, query);
  }

  /** @param draw The directions' stream and place in it, by default those of training at `options.step`. */
  async randomized(
    point: Weights,
    batch: Batch,
    options: RandomizedOptions,
    draw?: { stream: Stream; index: number },
  ): Promise<QueryResult> {
    const drawing = check.options<RandomizedOptions>(options, 'randomized', [
      ...['mu', 'central', 'at', 'queries', 'distribution', 'perTensor', 'reuse', 'seed'],
      ...CALL_OPTIONS,
    ] as const);
    const { mu, queries, distribution = 'gaussian', perTensor = false, reuse = 'incremental', seed = 0 } = drawing;
    const { stream, index } = draw ?? { stream: 'directions', index: options.step ?? 0 };
    const request = {
      ...this.#difference(point, batch, options),
      queries: check.queryCount(queries, 'queries'),
      distribution: check.oneOf(distribution, 'distribution', DISTRIBUTIONS),
      perTensor: check.boolean(perTensor, 'perTensor'),
      reuse: check.oneOf(reuse, 'reuse', RANDOMIZED_REUSES),
      seed: check.integer(seed, 'seed'),
      stream: Random.streamNumber(stream),
      index: check.integer(index, 'step', 0, 0xffff_ffff),
    };
    const query = (at: number): Query => ({
      words: `along random direction ${at} with mu = ${mu}`,
      mu,
      coordinate: null,
    });
    const start: Start<typeof request, QueryResult> = (network, ...job) => network.randomized(...job);
    const estimate = await this.#run('randomized', request, start, options, query);
    // Every parameter moves: equal losses in all directions mean that the perturbation was lost.
    if (estimate.values.some((value) => value !== 0)) return estimate;
    if (reuse === 'none') {
      throw check.expected('mu', 'large enough to change the loss along a random direction in float32', mu);
    }
    throw new check.InvalidArgumentError(
      `Expected the loss to change along random directions, received the same along all of ${queries}: does any output depend on the parameters?`,
    );
  }

  #request(point: Weights, batch: Batch, training: boolean, { step }: CallOptions): NativeRequest {
    const { loss, threads, compiled } = this.#setup;
    checkBatch(batch, this.#setup);
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

  #difference(point: Weights, batch: Batch, options: DifferenceOptions) {
    const { mu, central = false, at } = options;
    return {
      ...this.#request(movedTo(point, at), batch, true, options),
      mu: check.smoothing(mu, 'mu'),
      central: check.boolean(central, 'central'),
    };
  }

  #alongBasis(point: Weights, batch: Batch, options: ReferenceOptions): NativeReference {
    const coordinates = checkCoordinates(this.#setup.compiled, options.coordinates);
    return { ...this.#difference(point, batch, options), coordinates };
  }

  /** Where two losses are subtracted, a step that float32 rounds away leaves zero by zero. */
  #checkResolution({ parameters, coordinates, mu }: NativeReference): void {
    const still = coordinates.find((flat) => Math.fround(parameters[flat]! + mu) === parameters[flat]);
    if (still === undefined) return;
    const coordinate = nameOf(coordinateAt(this.#setup.compiled, still));
    throw check.expected('mu', `large enough to move ${coordinate} = ${parameters[still]!} in float32`, mu);
  }

  #basisQuery(mu: number): (at: number) => Query {
    return (at) => {
      const coordinate = coordinateAt(this.#setup.compiled, at);
      return { words: `with ${nameOf(coordinate)} moved by mu = ${mu}`, mu, coordinate };
    };
  }

  /** On as many threads as memory allows. */
  async #run<R extends NativeRequest & Variant, T>(
    computation: NativeComputation,
    request: R,
    start: Start<R, T>,
    options: CallOptions,
    queryAt: (at: number) => Query,
  ): Promise<T> {
    const network = this.#native;
    if (!network) throw new Error('This model has been disposed of; make or load another one');
    const fitted = { ...request, threads: this.#makeRoom(network, computation, request) };
    try {
      return await runJob((progress) => start(network, fitted, progress), options);
    } catch (error) {
      if (!isNonFinite(error)) throw error;
      const query = error.coordinate < 0 ? BASE : queryAt(error.coordinate);
      const problem = `it is NaN or infinite ${query.words}${advice(query, options)}`;
      throw new NonFiniteLossError(problem, options.step ?? null, query.coordinate);
    }
  }

  /** The threads that fit. Where memory is bounded, buffers of another computation than the last are freed before its own are made. */
  #makeRoom(network: NativeNetwork, computation: NativeComputation, request: NativeRequest & Variant): number {
    const { memory, threads } = this.#setup;
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
function advice({ mu }: Query, { step }: CallOptions): string {
  if (mu !== undefined) return `; lower mu${step === undefined ? '' : ' or the learning rate'}`;
  if (step !== undefined) return '; lower the learning rate, or check the images and targets';
  return '; check the images and targets, and whether the weights grew too large, as at too high a learning rate';
}
