/**
 * Checks a computation's arguments and runs it with the model's loss: built-in, of outputs or of rollouts. `Model` adds the point.
 *
 * @module
 */
import type * as v from 'valibot';

import { InvalidArgumentError, quote, show } from '../support/errors.js';
import { expectedOption, parseOptions } from '../support/schema.js';
import { checkCoordinates, coordinateAt, nameOf } from '../network/coordinates.js';
import type { Batch } from '../data/dataset.js';
import type { CallOptions } from '../native/jobs.js';
import { runJob } from '../native/jobs.js';
import { threadsWithin } from '../native/memory.js';
import type { NativeDirections, NativeReference, NativeRequest, NativeRolloutRequest } from '../native/addon.js';
import { native } from '../native/addon.js';
import { programOf } from '../network/compile.js';
import type { NetworkComputations, Query, QueryAt, Setup } from './computations.js';
import { Computations } from './computations.js';
import type {
  CoordinatewiseOptions,
  ForwardOptions,
  GradientOptions,
  GradientResult,
  MemoryOptions,
  MemoryUse,
  PassResult,
  QueryCost,
  QueryResult,
  RandomizedOptions,
  ReferenceOptions,
  ReferenceResult,
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
import { OutputsEstimates } from './outputs-estimates.js';
import type { RolloutLoss } from './losses.js';
import { isOutputsLoss, isRolloutLoss, requireBuiltIn } from './losses.js';
import { checkBatch, checkImages, itemShape } from './problem.js';
import type { RolloutComputations } from './rollouts.js';
import { rolloutComputations } from './rollouts.js';
import type { Stream } from '../native/random.js';
import { Random } from '../native/random.js';
import type { Weights } from './weights.js';

export class Evaluator {
  readonly #setup: Setup;
  readonly #computations: NetworkComputations;
  /** Where the loss is one of outputs. */
  readonly #outputs: OutputsEstimates | undefined;
  /** Where it is one of rollouts. */
  readonly #rollouts: RolloutComputations | undefined;

  constructor(setup: Setup) {
    this.#setup = setup;
    const { network, loss } = setup;
    this.#computations = new Computations(setup, new native.Network(network.input, programOf(network).operations));
    if (isOutputsLoss(loss)) this.#outputs = new OutputsEstimates(this.#computations, loss);
    if (isRolloutLoss(loss)) this.#rollouts = rolloutComputations(setup, loss);
  }

  /** Frees the buffers after the pending calls; later ones are refused. */
  dispose(): void {
    this.#computations.dispose();
    this.#rollouts?.dispose();
  }

  async forward(point: Weights, batch: Batch, options: ForwardOptions): Promise<PassResult> {
    const { at, training, ...call } = parseOptions(forwardOptions, options, 'forward');
    if (this.#rollouts) {
      const rollouts = this.#rolloutRequest(movedTo(point, at), batch, call);
      return this.#rollouts.run(this.#rollouts.open(), 'evaluate', rollouts, call);
    }
    const request = this.#request(movedTo(point, at), batch, training, call);
    const pass = await this.#computations.run(this.#computations.open(), 'evaluate', request, call);
    return this.#outputs?.measured(pass, request, { batch, ...call }) ?? pass;
  }

  /** The outputs with running statistics; no loss is computed. */
  async predict(point: Weights, images: Pick<Batch, 'images' | 'count'>, call: CallOptions): Promise<Float32Array> {
    checkImages(images, itemShape(this.#setup));
    if (this.#rollouts) {
      // Without targets this error is none, and the simulator's own loss is not asked for.
      const request = { ...this.#itemsRequest(point, images, call), loss: 'mean-squared-error' } as const;
      return (await this.#rollouts.run(this.#rollouts.open(), 'evaluate', request, call)).outputs;
    }
    const request = { ...this.#pointAndImages(point, images, call), loss: 'none', training: false } as const;
    return (await this.#computations.run(this.#computations.open(), 'evaluate', request, call)).outputs;
  }

  async gradient(point: Weights, batch: Batch, options: GradientOptions): Promise<GradientResult> {
    const { at, training, precision, ...call } = parseOptions(gradientOptions, options, 'gradient');
    requireBuiltIn(this.#setup.loss, 'Back-propagation');
    const request = { ...this.#request(movedTo(point, at), batch, training, call), precision };
    return this.#computations.run(this.#computations.open(), 'gradient', request, call);
  }

  async coordinatewise(point: Weights, batch: Batch, options: CoordinatewiseOptions): Promise<QueryResult> {
    const { reuse, ...along } = parseOptions(coordinatewiseOptions, options, 'coordinatewise');
    if (this.#rollouts) {
      const request = this.#rolloutsAlong(point, batch, along);
      return this.#rollouts.run(this.#rollouts.open(), 'coordinatewise', request, along, this.#basisQuery(along.mu));
    }
    const request = { ...this.#alongBasis(point, batch, along), reuse };
    const query = this.#basisQuery(along.mu);
    if (reuse !== 'incremental') this.#checkResolution(request);
    if (this.#outputs) return this.#outputs.coordinatewise(request, { batch, ...along }, query);
    return this.#computations.run(this.#computations.open(), 'coordinatewise', request, along, query);
  }

  async reference(point: Weights, batch: Batch, options: ReferenceOptions): Promise<ReferenceResult> {
    const along = parseOptions(referenceOptions, options, 'reference');
    if (this.#rollouts) {
      const request = this.#rolloutsAlong(point, batch, along);
      return this.#rollouts.run(this.#rollouts.open(), 'reference', request, along, this.#basisQuery(along.mu));
    }
    const request = this.#alongBasis(point, batch, along);
    const query = this.#basisQuery(along.mu);
    if (this.#outputs) return this.#outputs.reference(request, { batch, ...along }, query);
    return this.#computations.run(this.#computations.open(), 'reference', request, along, query);
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
    const directions = {
      ...{ mu, central, queries, distribution, perTensor, reuse, seed },
      ...{ stream: Random.streamNumber(stream), index },
    };
    const query = (direction: number): Query => ({
      description: `along random direction ${direction} with mu = ${mu}`,
      mu,
      coordinate: null,
    });
    const estimate = await this.#alongDirections(movedTo(point, at), batch, directions, call, query);
    if (estimate.values.some((value) => value !== 0)) return estimate;
    const { loss } = this.#setup;
    if (typeof loss !== 'string') {
      throw expectedOption('mu', `large enough to change ${quote(loss.name)} along a random direction`, String(mu));
    }
    if (reuse === 'none') {
      throw expectedOption('mu', 'large enough to change the loss along a random direction in float32', String(mu));
    }
    throw new InvalidArgumentError(
      `Expected the loss to change along a random direction, received the same loss along all of ${queries}: does any output depend on the parameters?`,
    );
  }

  async #alongDirections(
    point: Weights,
    batch: Batch,
    directions: NativeDirections,
    call: CallOptions,
    query: QueryAt,
  ): Promise<QueryResult> {
    if (this.#rollouts) {
      const request = { ...this.#rolloutRequest(point, batch, call), ...directions };
      return this.#rollouts.run(this.#rollouts.open(), 'randomized', request, call, query);
    }
    const request = { ...this.#request(point, batch, true, call), ...directions };
    return this.#outputs
      ? this.#outputs.randomized(request, { batch, ...call }, query)
      : this.#computations.run(this.#computations.open(), 'randomized', request, call, query);
  }

  #rolloutRequest(point: Weights, batch: Batch, call: CallOptions): NativeRolloutRequest {
    checkBatch(batch, this.#setup);
    return { ...this.#itemsRequest(point, batch, call), ...(batch.targets && { targets: batch.targets }) };
  }

  /** Rollouts without targets. */
  #itemsRequest(point: Weights, batch: Pick<Batch, 'images' | 'count'>, call: CallOptions): NativeRolloutRequest {
    const { steps, loss } = this.#setup.loss as RolloutLoss;
    const { parameters, images: items, count, threads } = this.#pointAndImages(point, batch, call);
    return { parameters, items, count, threads, steps, loss };
  }

  #rolloutsAlong(point: Weights, batch: Batch, options: v.InferOutput<typeof referenceOptions>) {
    const { mu, central, at, coordinates, ...call } = options;
    checkCoordinates(this.#setup.compiled.parameterCount, coordinates);
    return { ...this.#rolloutRequest(movedTo(point, at), batch, call), mu, central, coordinates };
  }

  #request(point: Weights, batch: Batch, training: boolean, call: CallOptions): NativeRequest {
    const { loss } = this.#setup;
    checkBatch(batch, this.#setup);
    const request = { ...this.#pointAndImages(point, batch, call), training };
    if (typeof loss !== 'string') return { ...request, loss: 'none' };
    return {
      ...request,
      loss,
      ...(loss === 'cross-entropy' ? { labels: batch.labels! } : { targets: batch.targets! }),
    };
  }

  #pointAndImages(point: Weights, { images, count }: Pick<Batch, 'images' | 'count'>, { step }: CallOptions) {
    const { threads, compiled } = this.#setup;
    const { parameters, statistics } = point;
    const at = indexOfInvalid(parameters);
    if (at >= 0) {
      const coordinate = coordinateAt(compiled, at);
      throw new NonFiniteLossError(`${nameOf(coordinate)} is ${parameters[at]!}`, step ?? null, coordinate);
    }
    return { parameters, statistics, images, count, threads };
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

  #basisQuery(mu: number): QueryAt {
    return (at) => {
      const coordinate = coordinateAt(this.#setup.compiled, at);
      return { description: `with ${nameOf(coordinate)} moved by mu = ${mu}`, mu, coordinate };
    };
  }

  /** The work of the coordinates' queries, each once, without the unperturbed pass. */
  async cost(coordinates: Uint32Array): Promise<QueryCost> {
    if (this.#rollouts) requireBuiltIn(this.#setup.loss, 'The cost of a query');
    checkCoordinates(this.#setup.compiled.parameterCount, coordinates);
    const network = this.#computations.open();
    return runJob(() => network.cost({ coordinates }), {});
  }

  memoryOf(point: Weights, batch: Batch, options: MemoryOptions): MemoryUse {
    const { coordinates, reuse } = parseOptions(memoryOptions, options, 'memoryOf');
    checkCoordinates(this.#setup.compiled.parameterCount, coordinates);
    const { memory = Infinity } = this.#setup;
    if (this.#rollouts) {
      const request = { ...this.#rolloutRequest(point, batch, {}), mu: 1, central: false, coordinates };
      const fit = this.#rollouts.open().memory('coordinatewise', request, memory);
      return { threads: threadsWithin(memory, fit, batch.count), bytes: fit.bytes };
    }
    // The memory does not depend on the size of a step.
    const request = { ...this.#request(point, batch, true, {}), mu: 1, central: false, coordinates, reuse };
    const network = this.#computations.open();
    const fit = this.#outputs
      ? network.memory(...this.#outputs.largest(request), memory)
      : network.memory('coordinatewise', request, memory);
    return { threads: threadsWithin(memory, fit, batch.count), bytes: fit.bytes };
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
