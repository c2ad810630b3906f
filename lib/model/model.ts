/// <reference lib="esnext.disposable" preserve="true" />
import * as v from 'valibot';

import { checked, integer, isObject, leaf, parseOptions, positive, seed, string } from '../support/schema.js';
import type { Coordinate } from '../network/coordinates.js';
import { coordinateAt, flatIndex, unknownTensor } from '../network/coordinates.js';
import type { Batch, Dataset } from '../data/dataset.js';
import type { CallOptions } from '../native/jobs.js';
import { Evaluator } from './evaluator.js';
import { defaultThreads, MOST_THREADS } from '../native/cores.js';
import type { CompiledNetwork, TensorInfo } from '../network/compile.js';
import { compile } from '../network/compile.js';
import type { Network } from '../network/description.js';
import { initialise } from '../network/initialise.js';
import type {
  CoordinatewiseOptions,
  EvaluateOptions,
  EvaluateResult,
  ForwardOptions,
  ForwardResult,
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
import { evaluateOptions } from './options.js';
import type { ModelLoss } from './losses.js';
import { modelLoss } from './losses.js';
import { checkDataset, checkLoss, countCorrect, imagesOf, outputsOf } from './problem.js';
import type { Stream } from '../native/random.js';
import { withSafetensors, writeSafetensors } from '../support/safetensors.js';
import { checkValues, checkWeights, describedIn, readPoint, toMetadata, toTensors } from './weights.js';
import type { Weights } from './weights.js';

export const limits = v.strictObject({
  /** Threads of every computation, an integer from 1 to 1024; default: `defaultThreads()`. No result depends on it. */
  threads: v.optional(integer(1, MOST_THREADS)),
  /**
   * The most bytes that a computation may allocate outside JavaScript, > 0: activations and weights, of the unperturbed pass
   * and of each thread's queries, and the copies of its inputs. The required memory grows with the batch. A computation
   * uses as many of `threads` as fit. If not even one fits, the call rejects before it computes anything, with an
   * `InvalidArgumentError` that names the required bytes. Default: no bound.
   */
  memory: v.optional(positive),
});

export const modelOptions = v.strictObject({
  ...limits.entries,
  /** Determines the initial weights; an integer from 0 to 2⁵³ − 1, default: 0. */
  seed: v.optional(seed, 0),
  /**
   * Mean over the batch of `cross-entropy`, `mean-squared-error` or `mean-absolute-error`; or a loss of the network's outputs, from
   * `outputsLoss` or a custom `OutputsLoss`; or one of rollouts, from `rollout`. Default: `cross-entropy`.
   */
  loss: v.optional(modelLoss, 'cross-entropy'),
  /** Initial values. The model uses these arrays themselves, not copies. Default: initial weights by `seed`. */
  weights: v.optional(leaf<Weights>('other', 'an object of parameters and statistics', isObject)),
});
/** The options of `Model`. */
export interface ModelOptions extends v.InferInput<typeof modelOptions> {}

export const loadOptions = v.strictObject({
  ...limits.entries,
  /**
   * `cross-entropy`, `mean-squared-error` or `mean-absolute-error`, or a loss of the network's outputs or of rollouts; default: the one in
   * the file's metadata, as `save` wrote it, otherwise cross-entropy. A file holds only the name of a loss that is not built in: it must
   * be given.
   */
  loss: v.optional(modelLoss),
  /** The network that the weights belong to; default: the one in the file's metadata, as `save` wrote it. */
  network: v.optional(v.custom<Network>(() => true)),
});
/** The options of `Model.load`. */
export interface LoadOptions extends v.InferInput<typeof loadOptions> {}

/** `Model.randomized` with directions from another stream than those of training. */
export let randomizedFrom: (
  model: Model,
  batch: Batch,
  options: RandomizedOptions,
  draw: { stream: Stream; index: number },
) => Promise<QueryResult>;

/**
 * A network with its parameters and running statistics, its loss, and the native core's buffers for its evaluation.
 *
 * The arrays are live and the only copy: the next call uses the values that you write into them. A call copies them when it
 * starts and never writes them, so they are unchanged after an estimate, an abort or an error. Every method that evaluates
 * the loss is asynchronous, runs on the process's one compute thread, and rejects with `NonFiniteLossError` if a loss is NaN
 * or infinite. Garbage collection frees the activation buffers together with the model; a declaration `using model = …`
 * (TypeScript 5.2, Node 24) frees them at the end of its scope.
 *
 * @example
 * const model = new Model(resnet20({ classes: 10 }), { seed: 1 });
 * const { loss, accuracy } = await model.evaluate(testSet);
 */
export class Model implements Disposable {
  /** The description that the constructor received. */
  readonly network: Network;
  /** Names, shapes and offsets of every tensor. */
  readonly compiled: CompiledNetwork;
  /** What is trained. */
  readonly loss: ModelLoss;
  /** The threads that computations may use. */
  readonly threads: number;
  /** The most bytes that a computation may allocate; undefined without a bound. */
  readonly memory: number | undefined;
  /** All trainable parameters, in the order of `compiled.parameters`. */
  readonly parameters: Float32Array;
  /** Running means and variances of batch norm, in the order of `compiled.statistics`. */
  readonly statistics: Float32Array;
  readonly #evaluator: Evaluator;
  #notes: readonly string[] = [];

  static {
    randomizedFrom = (model, batch, options, draw) => model.#evaluator.randomized(model, batch, options, draw);
  }

  /**
   * @param network Plain data, from `resnet20()`, from `cnn()` or custom.
   * @throws InvalidArgumentError if a layer of the network is invalid, naming the layer, the network does not suit the loss, or an
   *   option is out of range or unknown.
   */
  constructor(network: Network, options: ModelOptions = {}) {
    const { seed, loss, threads, memory, weights } = parseOptions(modelOptions, options, 'Model');
    this.loss = loss;
    this.threads = threads ?? defaultThreads();
    this.memory = memory;
    this.network = network;
    this.compiled = compile(network);
    checkLoss(this);
    const { parameters, statistics } = weights ? checkWeights(weights, this.compiled) : initialise(this.compiled, seed);
    this.parameters = parameters;
    this.statistics = statistics;
    this.#evaluator = new Evaluator(this);
  }

  /**
   * Reads a model from a safetensors file of `save` or of a training run, or from another program's file with PyTorch's names
   * and shapes, given its `network`. Numbers in F16 and BF16 are widened, those in F64 are rounded. A prefix that all names
   * share, such as `module.`, is ignored, and the only linear layer may have another name. `notes` reports such differences.
   *
   * @throws FileError if the file is damaged, no network is given or in the file, a value is not finite or a variance
   *   negative, or its tensors do not fit; the message names extra, missing and wrongly shaped ones.
   * @example await Model.load('resnet20.safetensors', { network: resnet20() })
   */
  static async load(file: string, options: LoadOptions = {}): Promise<Model> {
    const { network, loss: given, ...rest } = parseOptions(loadOptions, options, 'Model.load');
    return withSafetensors(checked(string, file, 'file'), async (source) => {
      const { network: owner, loss, compiled } = describedIn(source, { network, loss: given });
      const { notes, ...weights } = await readPoint(source, compiled);
      const model = new Model(owner, { loss, weights, ...rest });
      model.#notes = notes;
      return model;
    });
  }

  /**
   * Writes weights and running statistics under PyTorch's names, with the network and the loss in the metadata, atomically.
   *
   * @throws FileError if the file cannot be written, a value is not finite or a variance negative.
   */
  async save(file: string): Promise<void> {
    const tensors = toTensors(this.compiled, this);
    checkValues(checked(string, file, 'file'), tensors);
    await writeSafetensors(file, tensors, toMetadata(this));
  }

  /** Sentences on the differences of the weights from the loaded file: rounded numbers, other names. */
  get notes(): readonly string[] {
    return this.#notes;
  }

  /** The tensors that the parameters consist of: `compiled.parameters`. */
  get tensors(): readonly TensorInfo[] {
    return this.compiled.parameters;
  }

  /** Whether differences are exact changes of the loss, for any μ: of a built-in loss. Other losses are subtracted. */
  get carriesChanges(): boolean {
    return typeof this.loss === 'string';
  }

  /** The number of trainable parameters, d in the paper. */
  get parameterCount(): number {
    return this.compiled.parameterCount;
  }

  /**
   * A live view of one tensor by name, of parameters or of running statistics.
   *
   * @example model.tensor('fc.bias').fill(0)
   */
  tensor(name: string): Float32Array {
    checked(string, name, 'name');
    const { parameters, statistics } = this.compiled;
    const parameter = parameters.find((info) => info.name === name);
    const info = parameter ?? statistics.find((statistic) => statistic.name === name);
    if (!info) throw unknownTensor(name, [...parameters, ...statistics]);
    return (parameter ? this.parameters : this.statistics).subarray(info.offset, info.offset + info.size);
  }

  /**
   * The index of a coordinate in `parameters`.
   *
   * @example model.parameterIndex({ name: 'conv1.weight', index: 5 })
   */
  parameterIndex(coordinate: Coordinate): number {
    return flatIndex(this.compiled, coordinate);
  }

  /** The coordinate at an index into `parameters`, the inverse of `parameterIndex`. */
  parameterName(index: number): Coordinate {
    return coordinateAt(this.compiled, index);
  }

  /**
   * One forward pass over a batch: its mean loss, the outputs (a row for every image), the accuracy if the batch has labels,
   * and the running statistics after the pass, which change if `training`. The model itself does not change.
   *
   * @throws InvalidArgumentError if an option is out of range or unknown, or `at` is not as long as the parameters.
   * @example const { loss, outputs } = await model.forward(testSet.batch(Uint32Array.of(0, 1, 2)));
   */
  async forward(batch: Batch, options: ForwardOptions = {}): Promise<ForwardResult> {
    const result = await this.#evaluator.forward(this, batch, options);
    if (!batch.labels) return result;
    return { ...result, accuracy: countCorrect(result.outputs, batch.labels) / batch.count };
  }

  /** The pass of `forward` with batch norm in training mode at the parameters `at`, for estimators. */
  async lossAt(batch: Batch, at: Float32Array, options: CallOptions = {}): Promise<PassResult> {
    return this.#evaluator.forward(this, batch, { at, training: true, ...options });
  }

  /**
   * Loss and accuracy over a whole data set, with running statistics and without augmentation. `onProgress` is called after
   * every batch with the images done and their total.
   *
   * @throws InvalidArgumentError if an option is out of range or unknown, or the data set does not fit the network.
   * @example console.log((await model.evaluate(testSet)).accuracy)
   */
  async evaluate(dataset: Dataset, options: EvaluateOptions = {}): Promise<EvaluateResult> {
    const { batchSize, signal, onProgress } = parseOptions(evaluateOptions, options, 'evaluate');
    checkDataset(dataset, this);
    const { count } = dataset;
    let loss = 0;
    let correct: number | undefined;
    for (let start = 0; start < count; start += batchSize) {
      const size = Math.min(batchSize, count - start);
      const batch = dataset.batch(Uint32Array.from({ length: size }, (_, i) => start + i));
      const result = await this.forward(batch, { signal });
      loss += result.loss * size;
      if (batch.labels) correct = (correct ?? 0) + countCorrect(result.outputs, batch.labels);
      onProgress?.(start + size, count);
    }
    return { loss: loss / count, count, ...(correct !== undefined && { accuracy: correct / count }) };
  }

  /**
   * The outputs for images without labels, with running statistics: the logits of each class, or what the squared and the
   * absolute loss compare with targets; of rollouts the values of all steps. `onProgress` is called after every batch with the
   * images done and their total.
   *
   * @param images A Float32Array in NCHW, normalised like the training images, of count·C·H·W numbers for a network with
   *   input [C, H, W], or of rollouts the simulator's parameters and first state for every trajectory; or a batch or a data set,
   *   whose labels and targets are ignored.
   * @returns A row of `compiled.outputs` numbers, or of rollouts of steps × values, for every image, in the order of the images.
   * @throws InvalidArgumentError if an option is out of range or unknown, or the images do not fit the network's input.
   * @example
   * const outputs = await model.predict(images);
   * const first = outputs.subarray(0, model.compiled.outputs);
   * const label = first.indexOf(Math.max(...first));
   */
  async predict(images: Float32Array | Batch | Dataset, options: EvaluateOptions = {}): Promise<Float32Array> {
    const { batchSize, signal, onProgress } = parseOptions(evaluateOptions, options, 'predict');
    const { count, slice } = imagesOf(images, this);
    const width = outputsOf(this);
    const outputs = new Float32Array(count * width);
    for (let start = 0; start < count; start += batchSize) {
      const size = Math.min(batchSize, count - start);
      const part = { images: slice(start, start + size), count: size };
      outputs.set(await this.#evaluator.predict(this, part, { signal }), start * width);
      onProgress?.(start + size, count);
    }
    return outputs;
  }

  /**
   * The first-order gradient of the mean loss by back-propagation (Rumelhart, Hinton & Williams, 1986), values[i] = ∂ℓ/∂θ_i
   * for every parameter, with the loss, the outputs and the running statistics of `forward`. It is the limit of CGE as μ → 0,
   * and a baseline for training.
   *
   * Where the loss has no derivative, PyTorch's choice: at 0, a ReLU's slope below 0, and 0 for an absolute error; the first of
   * equal maxima.
   *
   * @throws InvalidArgumentError if an option is out of range or unknown, or `at` is not as long as the parameters.
   * @example const { values } = await model.gradient(batch, { precision: 'double' });
   */
  async gradient(batch: Batch, options: GradientOptions = {}): Promise<GradientResult> {
    return this.#evaluator.gradient(this, batch, options);
  }

  /**
   * The terms of equation (2), with batch norm in training mode: values[i] = (ℓ(θ + μ·e_c) − ℓ(θ)) / μ for the coordinate
   * c = coordinates[i]. `cge` uses it, and custom estimators can.
   */
  async coordinatewise(batch: Batch, options: CoordinatewiseOptions): Promise<QueryResult> {
    return this.#evaluator.coordinatewise(this, batch, options);
  }

  /**
   * Equation (1), with batch norm in training mode: the mean over random directions u of
   * [(ℓ(θ + μu) − ℓ(θ)) / μ]·u, an entry of `values` for every parameter. `rge` and `zoGrasp` use it.
   */
  async randomized(batch: Batch, options: RandomizedOptions): Promise<QueryResult> {
    return this.#evaluator.randomized(this, batch, options);
  }

  /**
   * The same as `coordinatewise` in double precision by plain loops, with one full forward pass per query: slow, the reference
   * for tests of `coordinatewise`. `gradcheck` compares the two.
   */
  async reference(batch: Batch, options: ReferenceOptions): Promise<ReferenceResult> {
    return this.#evaluator.reference(this, batch, options);
  }

  /**
   * The work of CGE's queries along the coordinates, each once, by how much of the unperturbed pass they reuse. Nothing is
   * computed.
   *
   * @throws InvalidArgumentError if a coordinate is none of the model's, or the loss is one of rollouts.
   * @example (await model.cost(Uint32Array.of(0))).none.direct // multiply-adds of a whole forward pass of one image
   */
  async cost(coordinates: Uint32Array): Promise<QueryCost> {
    return this.#evaluator.cost(coordinates);
  }

  /**
   * The memory that `coordinatewise` would take for a batch, and the threads that it would use within the model's bound on
   * memory. Nothing is allocated.
   *
   * @throws InvalidArgumentError if not even one thread fits.
   */
  memoryOf(batch: Batch, options: MemoryOptions): MemoryUse {
    return this.#evaluator.memoryOf(this, batch, options);
  }

  /** Frees the activation buffers after the pending calls; later calls that evaluate the loss are refused. */
  [Symbol.dispose](): void {
    this.#evaluator.dispose();
  }
}
