/**
 * The only file that loads the addon, and the types of its whole surface. Nothing here validates for
 * humans: callers pass what `lib/` has checked, and the addon re-checks only what memory safety needs.
 *
 * @module
 */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

/** One operation of a compiled network; `inputs` are value numbers, 0 is the network's input and operation i yields i + 1. */
export type NativeOperation =
  | {
      kind: 'conv2d';
      inputs: [number];
      channels: number;
      kernel: [number, number];
      stride: number;
      padding: number;
      bias: boolean;
    }
  | { kind: 'batchNorm'; inputs: [number]; eps: number }
  | { kind: 'relu'; inputs: [number] }
  | { kind: 'add'; inputs: [number, number] }
  | { kind: 'optionA'; inputs: [number]; channels: number; stride: number }
  | { kind: 'maxPool'; inputs: [number]; kernel: number; stride: number }
  | { kind: 'averagePool'; inputs: [number]; kernel: [number, number]; stride: number }
  | { kind: 'flatten'; inputs: [number] }
  | { kind: 'linear'; inputs: [number]; features: number; bias: boolean };

/** What every job needs: the point, the mini-batch and the loss. Arrays are copied when the job is made. */
export interface NativeRequest {
  /** All trainable parameters, concatenated in operation order (weight then bias). */
  parameters: Float32Array;
  /** Running mean then running variance of each batch norm, concatenated in operation order. */
  statistics: Float32Array;
  /** NCHW, `count` images. */
  images: Float32Array;
  count: number;
  loss: 'cross-entropy' | 'mean-squared-error' | 'mean-absolute-error';
  /** Classes for the cross-entropy, one per image. */
  labels?: Int32Array;
  /** Targets for the other losses, as many per image as the network has outputs. */
  targets?: Float32Array;
  /** Batch statistics (true) or running statistics (false) in batch norm. */
  training: boolean;
  threads: number;
}

export interface NativeEvaluation {
  /** Mean loss over the batch. */
  loss: number;
  /** Outputs, `count` rows. */
  outputs: Float32Array;
  /** Running statistics after this batch (momentum 0.1), equal to the request's when not training. */
  statistics: Float32Array;
}

export interface NativeGradientRequest extends NativeRequest {
  /** What activations and their gradients are computed in: float32 or float64. Parameters are float32 in both. */
  precision: 'single' | 'double';
}

export interface NativeGradient extends NativeEvaluation {
  /** ∂ℓ/∂θ, one entry per parameter. */
  values: Float64Array;
}

export interface NativeEstimate extends NativeEvaluation {
  /** One entry per coordinate (CGE) or per parameter (RGE). */
  values: Float64Array;
  /** Loss evaluations, the base pass included. */
  queries: number;
}

export interface NativeCoordinatewise extends NativeRequest {
  /** Distinct indices into `parameters`, in any order. */
  coordinates: Uint32Array;
  mu: number;
  central: boolean;
  reuse: 'none' | 'block' | 'layer' | 'incremental';
}

export interface NativeRandomized extends NativeRequest {
  queries: number;
  mu: number;
  central: boolean;
  distribution: 'gaussian' | 'sphere' | 'rademacher';
  /** Whether each parameter tensor's part of a direction is scaled to unit length. */
  perTensor: boolean;
  reuse: 'none' | 'incremental';
  seed: number;
  stream: number;
  index: number;
}

export interface NativeReference extends NativeRequest {
  coordinates: Uint32Array;
  mu: number;
  central: boolean;
}

/** Multiply-adds of convolutions and linear layers. */
export interface NativeWork {
  /** As the kernels do them: Winograd's 36 products per 4×4 tile, recomputed convolutions as often as they are computed. */
  done: number;
  /** The same convolutions as many times, each as a direct one. */
  direct: number;
}

/** By how much is reused: the work of one query of each coordinate, together, for one image. */
export type NativeCost = Record<'none' | 'block' | 'layer' | 'incremental', NativeWork>;

/** The computations of a network: its methods, each with the type of its request. */
export interface NativeRequests {
  evaluate: NativeRequest;
  gradient: NativeGradientRequest;
  coordinatewise: NativeCoordinatewise;
  randomized: NativeRandomized;
  reference: NativeReference;
}

export type NativeComputation = keyof NativeRequests;

/** How many threads fit into a bound on memory. */
export interface NativeFit {
  /** The most threads, at most the request's, that fit; 0 if not even one does. */
  threads: number;
  /** Allocated by that many threads, by one if none fits. */
  bytes: number;
}

/** How an operation is run. */
export interface NativeStep {
  /** Operations of equal number are one kernel's work: batch norm, sum, ReLU and max pool that follow each other. */
  step: number;
  /** The kernel, on whole values or on a change of all their channels: `winograd 4×4`, `direct`, `activation`, … */
  kernel: string;
}

export interface NativeKernelRun {
  /** `multiplyAdds` runs in registers alone: the peak. */
  kernel: 'multiplyAdds' | 'convolution' | 'winograd' | 'activate' | 'activateChange' | 'changeMoments';
  /** Of one image block: a 3×3 convolution with padding 1 to `outputs` channels; the others work on `channels`. */
  channels: number;
  outputs: number;
  size: number;
  stride: number;
  /** Calls by every thread. */
  calls: number;
  threads: number;
}

/** The work of one call, and the time of all. */
export interface NativeKernelCost extends NativeWork {
  /** Of the values read and written, each once. */
  bytes: number;
  /** All calls of the slowest thread by its own clock; making buffers and the first, uncounted call are left out. */
  seconds: number;
}

export interface NativeReferenceResult {
  loss: number;
  values: Float64Array;
}

/**
 * A job on the process-wide compute thread. `cancel` makes `promise` reject with code `DEEPZERO_CANCELLED`, once a thread has
 * done the image block in hand.
 */
export interface NativeJob<T> {
  promise: Promise<T>;
  cancel(): void;
}

/** Called on the event loop, at most every 50 ms, with queries (coordinates or directions) done and in all. */
export type NativeProgress = (done: number, total: number) => void;

/**
 * A rejected job's error has `code`: `DEEPZERO_CANCELLED`, `DEEPZERO_NON_FINITE` (with `coordinate`, the index
 * into `parameters`, the query's number for RGE, or −1 for the unperturbed loss), or `DEEPZERO_NATIVE`.
 */
export interface NativeError extends Error {
  code: 'DEEPZERO_CANCELLED' | 'DEEPZERO_NON_FINITE' | 'DEEPZERO_NATIVE';
  coordinate?: number;
}

export interface NativeNetwork {
  evaluate(request: NativeRequest, progress?: NativeProgress): NativeJob<NativeEvaluation>;
  /** The first-order gradient by back-propagation. */
  gradient(request: NativeGradientRequest, progress?: NativeProgress): NativeJob<NativeGradient>;
  coordinatewise(request: NativeCoordinatewise, progress?: NativeProgress): NativeJob<NativeEstimate>;
  randomized(request: NativeRandomized, progress?: NativeProgress): NativeJob<NativeEstimate>;
  /** The same CGE by the naive float64 reference: plain loops, one full forward pass a query. */
  reference(request: NativeReference, progress?: NativeProgress): NativeJob<NativeReferenceResult>;
  /** What queries of these coordinates would cost; nothing is computed. */
  cost(request: { coordinates: Uint32Array }): NativeJob<NativeCost>;
  /**
   * On how many threads a computation allocates at most `bound` bytes, and how many those are, if nothing is there from
   * earlier ones: activations and weights of the unperturbed pass and of every thread's queries, copies of the request's
   * arrays, and the result. Some bytes a channel are not counted. Nothing is allocated.
   */
  memory<C extends NativeComputation>(computation: C, request: NativeRequests[C], bound: number): NativeFit;
  /** How each operation is run, in their order. */
  steps(): NativeStep[];
  /** Frees the buffers, after the jobs there are, instead of at garbage collection; later jobs allocate them again. */
  release(): void;
}

export interface NativeAddon {
  /** The instruction set in use: 'avx512', 'avx2' or 'portable'. */
  readonly isa: string;
  /** The instruction sets this build has and this processor can run, best first. */
  readonly supportedIsas: string[];
  Network: new (input: [number, number, number], operations: readonly NativeOperation[]) => NativeNetwork;
  /** `count` 32-bit words of Philox4x32-10 under key `seed`, from word `offset` of (stream, index). */
  random(seed: number, stream: number, index: number, offset: number, count: number): Uint32Array;
  /** Calls one kernel repeatedly on every thread, and times the calls. */
  runKernel(request: NativeKernelRun): NativeJob<NativeKernelCost>;
}

/**
 * Has OpenMP's threads wait asleep, unless the user says how they wait. Spinning, its default, saves some microseconds where
 * every core is free, and where another process takes one it keeps the thread that is waited for off its core: a pass then
 * takes 100 times as long. OpenMP reads the environment when `load` first brings it into the process; that of a worker is a copy
 * that it does not see, so the addon is best loaded on the main thread first.
 */
function waitingAsleep<T>(load: () => T): T {
  const open = ['OMP_WAIT_POLICY', 'GOMP_SPINCOUNT'].every((name) => process.env[name] === undefined);
  if (!open) return load();
  process.env['OMP_WAIT_POLICY'] = 'passive';
  try {
    return load();
  } finally {
    delete process.env['OMP_WAIT_POLICY'];
  }
}

function load(): NativeAddon {
  const require = createRequire(import.meta.url);
  const root = fileURLToPath(new URL('../..', import.meta.url));
  try {
    return waitingAsleep(() => (require('node-gyp-build') as (folder: string) => NativeAddon)(root));
  } catch (cause) {
    // It loaded, and refused an option: an unknown DEEPZERO_ISA.
    if (cause instanceof TypeError && 'code' in cause && cause.code === 'DEEPZERO_INVALID_ARGUMENT') throw cause;
    const reason = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause);
    throw new Error(
      `deepzero's native addon did not load: ${reason}. Build it, which takes a C++17 compiler with OpenMP, make and python3: ` +
        'with npm by "npm rebuild deepzero" (first "npm install-scripts approve deepzero" if npm blocked the install script), ' +
        'with pnpm by "pnpm approve-builds" and "pnpm rebuild deepzero".',
      { cause },
    );
  }
}

let loaded: NativeAddon | undefined;

function addon(): NativeAddon {
  return (loaded ??= load());
}

/** The addon, loaded when first used, once per process, and shared by worker threads. */
export const native: NativeAddon = {
  get isa() {
    return addon().isa;
  },
  get supportedIsas() {
    return addon().supportedIsas;
  },
  get Network() {
    return addon().Network;
  },
  random: (seed, stream, index, offset, count) => addon().random(seed, stream, index, offset, count),
  runKernel: (request) => addon().runKernel(request),
};
