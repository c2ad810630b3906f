/**
 * The types of a native network: its operations, the requests of its computations, and their results.
 *
 * @module
 */

/** One operation of a compiled network; `inputs` are value numbers: 0 is the network's input, i + 1 the result of operation i. */
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
  | { kind: 'leakyRelu'; inputs: [number]; slope: number }
  | { kind: 'tanh'; inputs: [number] }
  | { kind: 'add'; inputs: [number, number] }
  | { kind: 'optionA'; inputs: [number]; channels: number; stride: number }
  | { kind: 'maxPool'; inputs: [number]; kernel: number; stride: number }
  | { kind: 'averagePool'; inputs: [number]; kernel: [number, number]; stride: number }
  | { kind: 'flatten'; inputs: [number] }
  | { kind: 'linear'; inputs: [number]; features: number; bias: boolean };

/** The arguments that all jobs share: the point, the mini-batch and the loss. Arrays are copied when the job is created. */
export interface NativeRequest {
  /** All trainable parameters, concatenated in operation order (weight then bias). */
  parameters: Float32Array;
  /** Running mean then running variance of each batch norm, concatenated in operation order. */
  statistics: Float32Array;
  /** NCHW, `count` images. */
  images: Float32Array;
  count: number;
  /** `none` where JavaScript computes it from the outputs; in its place is 0. An output that is not finite is then the error. */
  loss: 'cross-entropy' | 'mean-squared-error' | 'mean-absolute-error' | 'none';
  /** Classes for the cross-entropy, one per image. */
  labels?: Int32Array;
  /** Targets for the other losses, one per output and image. */
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
  /** The precision of activations and their gradients: float32 or float64. Parameters are float32 in both cases. */
  precision: 'single' | 'double';
}

export interface NativeGradient extends NativeEvaluation {
  /** ∂ℓ/∂θ, one entry per parameter. */
  values: Float64Array;
}

export interface NativeEstimate extends NativeEvaluation {
  /** One entry per coordinate (CGE) or per parameter (RGE). */
  values: Float64Array;
  /** Loss evaluations, including the unperturbed pass. */
  queries: number;
}

export interface NativeCoordinatewise extends NativeRequest {
  /** Distinct indices into `parameters`, in any order. */
  coordinates: Uint32Array;
  mu: number;
  central: boolean;
  reuse: 'none' | 'block' | 'layer' | 'incremental';
}

/** Random directions and the differences along them. */
export interface NativeDirections {
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

export interface NativeRandomized extends NativeRequest, NativeDirections {}

export interface NativeReference extends NativeRequest {
  coordinates: Uint32Array;
  mu: number;
  central: boolean;
}

/** The outputs for a part of an estimate's queries. Parts with equal marks, all else equal too, share the unperturbed pass. */
export interface NativeCoordinateOutputs extends NativeCoordinatewise {
  /** An integer from 1. */
  mark: number;
}

export interface NativeDirectionOutputs extends NativeRandomized {
  mark: number;
  /** The first direction of the part, and their number. */
  first: number;
  directions: number;
}

/** The values of an estimate along directions from the slopes along all of them. */
export interface NativeCombine extends NativeDirections {
  slopes: Float64Array;
  /** Images; only messages depend on them. */
  count: number;
  threads: number;
}

/** Outputs at the points that queries compare. */
export interface NativeOutputs extends Partial<NativeEvaluation> {
  /** At the unperturbed point, in the queries' precision; absent, as the evaluation is, if an earlier part has it. */
  unperturbed?: Float64Array;
  /** Query after query; of each the side above and, if central, the side below, `count` rows each. */
  perturbed: Float64Array;
  /** For each query the divisor of the difference of its losses. */
  distances: Float64Array;
}

/** Multiply-adds of convolutions and linear layers. */
export interface NativeWork {
  /** The kernels' own: Winograd's 36 products per 4×4 tile, and recomputed convolutions counted each time. */
  done: number;
  /** The same convolutions, counted as direct ones. */
  direct: number;
}

/** For each mode of reuse: the total work of one query per coordinate, for one image. */
export type NativeCost = Record<'none' | 'block' | 'layer' | 'incremental', NativeWork>;

/** The computations of a network: the names of its methods with the types of their requests. */
export interface NativeRequests {
  evaluate: NativeRequest;
  gradient: NativeGradientRequest;
  coordinatewise: NativeCoordinatewise;
  randomized: NativeRandomized;
  reference: NativeReference;
  coordinateOutputs: NativeCoordinateOutputs;
  directionOutputs: NativeDirectionOutputs;
  referenceOutputs: NativeReference;
  combine: NativeCombine;
}

/** Their results. */
export interface NativeResults {
  evaluate: NativeEvaluation;
  gradient: NativeGradient;
  coordinatewise: NativeEstimate;
  randomized: NativeEstimate;
  reference: NativeReferenceResult;
  coordinateOutputs: NativeOutputs;
  directionOutputs: NativeOutputs;
  referenceOutputs: NativeOutputs;
  combine: { values: Float64Array };
}

export type NativeComputation = keyof NativeRequests;

/** The threads that fit into a bound on memory. */
export interface NativeFit {
  /** The most threads, at most the request's, that fit; 0 if not even one does. */
  threads: number;
  /** Bytes allocated by these threads, or by one thread if none fits. */
  bytes: number;
}

/** The step and the kernel of an operation. */
export interface NativeStep {
  /** One kernel runs all operations of equal number: a batch norm, sum, nonlinearity and max pool in succession. */
  step: number;
  /** The kernel, on whole values or on a change of all their channels: `winograd 4×4`, `direct`, `activation`, … */
  kernel: string;
}

export interface NativeKernelRun {
  /** `multiplyAdds` runs in registers alone: the peak. */
  kernel: 'multiplyAdds' | 'convolution' | 'winograd' | 'activate' | 'activateChange' | 'changeMoments';
  /** Channels of one image block. The convolutions are 3×3 with padding 1 and yield `outputs` channels. */
  channels: number;
  outputs: number;
  size: number;
  stride: number;
  /** Calls per thread. */
  calls: number;
  threads: number;
}

/** The work of one call, and the time of all calls. */
export interface NativeKernelCost extends NativeWork {
  /** Bytes of the values read and written, each counted once. */
  bytes: number;
  /** Time of all calls of the slowest thread by its own clock, without the buffers' allocation and the first, uncounted call. */
  seconds: number;
}

export interface NativeReferenceResult {
  loss: number;
  values: Float64Array;
}

/**
 * A job on the process-wide compute thread. `cancel` makes `promise` reject with code `DEEPZERO_CANCELLED`, as soon as each
 * thread has finished its current image block.
 */
export interface NativeJob<T> {
  promise: Promise<T>;
  cancel(): void;
}

/** Called on the event loop, at most every 50 ms, with the queries (coordinates or directions) done and their total. */
export type NativeProgress = (done: number, total: number) => void;

/**
 * A rejected job's error has `code`: `DEEPZERO_CANCELLED`, `DEEPZERO_NON_FINITE` (with `coordinate`, the index
 * into `parameters`, the query's number for RGE, or −1 for the unperturbed loss), or `DEEPZERO_NATIVE`.
 */
export interface NativeError extends Error {
  code: 'DEEPZERO_CANCELLED' | 'DEEPZERO_NON_FINITE' | 'DEEPZERO_NATIVE';
  coordinate?: number;
}

/** A method for every computation. */
export type NativeMethods<Requests, Results extends Record<keyof Requests, unknown>> = {
  [C in keyof Requests]: (request: Requests[C], progress?: NativeProgress) => NativeJob<Results[C]>;
};

/** An object with computations, and the buffers that they use. */
export type NativeComputer<Requests, Results extends Record<keyof Requests, unknown>> = NativeMethods<
  Requests,
  Results
> & {
  /**
   * The largest number of threads on which a computation allocates at most `bound` bytes, and those bytes, if no buffers of
   * earlier computations exist: activations and weights of the unperturbed pass and of every thread's queries, copies of the
   * request's arrays, and the result. A few bytes per channel are not counted. The call itself allocates none of this.
   */
  memory<C extends keyof Requests>(computation: C, request: Requests[C], bound: number): NativeFit;
  /** Frees the buffers after the pending jobs, without waiting for garbage collection; later jobs allocate them again. */
  release(): void;
};

/**
 * A method for every computation: `gradient` is by back-propagation, `reference` is CGE by plain loops in double precision with
 * one full forward pass per query, and those named `…Outputs` yield what a loss compares instead of differences of losses.
 */
export interface NativeNetwork extends NativeComputer<NativeRequests, NativeResults> {
  /** The work of queries of these coordinates, counted without computing them. */
  cost(request: { coordinates: Uint32Array }): NativeJob<NativeCost>;
  /** The step and the kernel of each operation, in order. */
  steps(): NativeStep[];
}
