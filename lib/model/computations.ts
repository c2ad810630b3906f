/**
 * The computations of a native network as jobs, within the model's threads and memory. A loss that is not finite becomes an error
 * that names the query.
 *
 * @module
 */
import type {
  NativeComputer,
  NativeMethods,
  NativeNetwork,
  NativeRequest,
  NativeRequests,
  NativeResults,
} from '../native/addon.js';
import type { CallOptions } from '../native/jobs.js';
import { isNonFinite, runJob } from '../native/jobs.js';
import { threadsWithin } from '../native/memory.js';
import type { CompiledNetwork } from '../network/compile.js';
import type { Coordinate } from '../network/coordinates.js';
import type { Network } from '../network/description.js';
import { indexOfInvalid } from './float32.js';
import { NonFiniteLossError } from './non-finite.js';
import type { Precision, Reuse } from './options.js';
import type { ModelLoss } from './losses.js';
import { isRolloutLoss } from './losses.js';

/** The options that a computation's buffers depend on. */
interface Variant {
  reuse?: Reuse;
  precision?: Precision;
}

/** A query whose loss was not finite: its description, its mu if it was perturbed, and its coordinate if it perturbed one. */
export interface Query {
  readonly description: string;
  readonly mu?: number;
  readonly coordinate: Coordinate | null;
}

export const BASE: Query = { description: 'at the parameters themselves', coordinate: null };

/** The query that a native error names; −1 is the base. */
export type QueryAt = (at: number) => Query;

/** A compiled network with its loss and its limits; a model is one. */
export interface Setup {
  readonly network: Network;
  readonly compiled: CompiledNetwork;
  readonly loss: ModelLoss;
  readonly threads: number;
  readonly memory: number | undefined;
}

/** What a request has of every kind of computations. */
interface Shared {
  threads: number;
  count: number;
}

/** An object with computations, and what they may take. */
export class Computations<
  Requests extends Record<keyof Requests, Shared>,
  Results extends Record<keyof Requests, unknown>,
  Computer extends NativeComputer<Requests, Results>,
> {
  readonly setup: Setup;
  #native: Computer | undefined;
  /** The computation that the native buffers belong to, if memory is bounded. */
  #buffers: string | undefined;

  constructor(setup: Setup, computer: Computer) {
    this.setup = setup;
    this.#native = computer;
  }

  /** Frees the buffers after the pending jobs; `open` then refuses. */
  dispose(): void {
    const computer = this.#native;
    this.#native = undefined;
    release(computer);
  }

  open(): Computer {
    if (this.#native) return this.#native;
    throw new Error('This model has been disposed of; make or load another one');
  }

  /** Runs a computation on as many threads as memory allows, and at most the request's. */
  async run<C extends keyof Requests & string>(
    computer: Computer,
    computation: C,
    request: Requests[C],
    options: CallOptions,
    queryAt: QueryAt = () => BASE,
  ): Promise<Results[C]> {
    const methods: NativeMethods<Requests, Results> = computer;
    const fitted = { ...request, threads: this.#fit(computer, computation, request) };
    return runJob<Results[C]>((progress) => methods[computation](fitted, progress), options).catch((error: unknown) => {
      if (!isNonFinite(error)) throw error;
      const query = error.coordinate < 0 ? BASE : queryAt(error.coordinate);
      // That of rollouts names the trajectory and the step.
      if (isRolloutLoss(this.setup.loss)) throw this.refusal(request, options, query, error.message);
      const { loss } = request as Partial<NativeRequest>;
      const what = loss === 'none' ? 'an output of the network is' : 'it is';
      throw this.refusal(request, options, query, `${what} NaN or infinite`);
    });
  }

  /** The error of a loss that is not finite; `what` says which number is what. */
  refusal(request: Refused, call: CallOptions, query: Query, what: string): NonFiniteLossError {
    const advise = isRolloutLoss(this.setup.loss) ? rolloutAdvice : advice;
    const problem = `${what} ${query.description}${nonFiniteImage(request) ?? advise(query, call)}`;
    return new NonFiniteLossError(problem, call.step ?? null, query.coordinate);
  }

  /** The threads that fit into memory. If it is bounded, frees the buffers of the last computation unless this one needs the same. */
  #fit<C extends keyof Requests & string>(computer: Computer, computation: C, request: Requests[C]): number {
    const { memory } = this.setup;
    if (memory === undefined) return request.threads;
    const { reuse = '', precision = '' } = request as Variant;
    const fit = computer.memory(computation, request, memory);
    const fitting = threadsWithin(memory, fit, request.count);
    const buffers = `${computation} ${reuse}${precision} ${request.count} ${fitting}`;
    if (this.#buffers !== buffers) computer.release();
    this.#buffers = buffers;
    return fitting;
  }

  /** Frees the buffers that a call of many jobs has filled again, if the network was disposed of meanwhile. */
  close(computer: Computer): void {
    if (this.#native !== computer) release(computer);
  }
}

/** Those of a network. */
export type NetworkComputations = Computations<NativeRequests, NativeResults, NativeNetwork>;

/** Garbage collection frees buffers later; an error here would hide the error that ended a scope. */
function release(computer: { release(): void } | undefined): void {
  try {
    computer?.release();
  } catch {
    // As said above.
  }
}

/** What a request without a finite loss was computed from. */
interface Refused {
  images?: Float32Array;
  /** Of rollouts. */
  items?: Float32Array;
  count?: number;
}

/** The end of a message that names the first image, or trajectory, with a value that is not finite, if there is one. */
function nonFiniteImage({ images, items, count }: Refused): string | undefined {
  const values = items ?? images;
  if (!values || count === undefined) return undefined;
  const at = indexOfInvalid(values);
  if (at < 0) return undefined;
  const size = values.length / count;
  const which = `${items ? 'trajectory' : 'image'} ${Math.floor(at / size)}`;
  return `: ${which} of the batch holds ${values[at]} at ${at % size} of its ${size} values`;
}

/** Advice on a loss that is not finite; there is a learning rate only within a training run. */
function advice({ mu }: Query, { step }: CallOptions): string {
  if (mu !== undefined) return `; lower mu${step === undefined ? '' : ' or the learning rate'}`;
  if (step !== undefined) return '; lower the learning rate, or check the images and targets';
  return '; check the images and targets, and whether the weights grew too large, as at too high a learning rate';
}

/** The same where a simulator is in between. */
function rolloutAdvice({ mu }: Query, { step }: CallOptions): string {
  const check = '; check the simulator and the first states';
  if (mu !== undefined) return `${check}, or lower mu${step === undefined ? '' : ' or the learning rate'}`;
  if (step !== undefined) return `${check}, or lower the learning rate`;
  return `${check}, and whether the weights grew too large, as at too high a learning rate`;
}
