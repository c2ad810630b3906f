import type { RunState } from './checkpoint.js';
import { encodeCheckpoint, readCheckpoint, runTensors } from './checkpoint.js';
import * as check from '../support/check.js';
import { coordinateAt, nameOf } from '../network/coordinates.js';
import type { Batch, Dataset } from '../data/dataset.js';
import type { EstimateContext, EstimatePosition, Estimator, GradientEstimate } from '../estimators/estimator.js';
import { writeFileAtomically } from '../support/files.js';
import { NonFiniteLossError } from '../model/non-finite.js';
import type { Model } from '../model/model.js';
import type { OptimizerState } from '../optimizers/optimizers.js';
import { countCorrect } from '../model/problem.js';
import { Random } from '../native/random.js';
import type { TrainOptions, TrainPlan } from './options.js';
import { planTraining } from './options.js';
import { findInvalid } from '../model/weights.js';

/** What one step did. */
export interface TrainStep {
  /** The step's number in the run, from 0. */
  step: number;
  /** The epoch it is in, from 0. */
  epoch: number;
  /** Loss on its batch before the update, with batch norm in training mode. */
  loss: number;
  /** Accuracy on its batch before the update; absent without labels. */
  accuracy?: number;
  /** Learning rate of the update. */
  lr: number;
  /** Loss evaluations. */
  queries: number;
  /** Time it took. */
  seconds: number;
  queriesPerSecond: number;
}

/** What is left of a run, foretold. */
export interface TrainCost {
  /** Loss evaluations per step. */
  queriesPerStep: number;
  /** Timed on a sample of the next step's. */
  secondsPerStep: number;
  /** Steps to go. */
  steps: number;
  /** For all of them. */
  hours: number;
}

/** Queries, at least, in the first sample that `estimateCost` times: enough to have some in every layer. */
const PROBE = 64;
/** And of every thread, so that what one of them adds can be told. */
const PROBE_OF_THREAD = 8;

/**
 * Trains a model from loss values alone, algorithm 1 of DeepZero (Chen et al., ICLR 2024): every step estimates the gradient
 * on the next mini-batch and lets the optimizer move the parameters along it.
 *
 * An epoch is ⌊count / batchSize⌋ batches of the images in a random order of its own, without those left over. All that is
 * random is a function of (seed, position): equal options give equal bits, on any number of threads and across resumptions,
 * under one instruction set (`resumedIsa`).
 *
 * Nothing runs until the run is iterated. Leaving the loop ends it between two steps; aborting `signal` rejects with its
 * reason, as soon as any call of the model, and leaves model and optimizer as the last finished step did. After either, `save`
 * still works. Runs may take turns on a model, but a step of one refuses to begin during a step of another.
 *
 * @throws InvalidArgumentError if an option is out of range or unknown, the batch is larger than the data set, images or
 *   classes do not fit the network, or the estimator takes another optimizer alone. Iteration rejects with
 *   `NonFiniteLossError` if a loss is NaN or infinite or a step would make a parameter so, and with `FileError` if `resume` names no checkpoint of a run with these options.
 * @example
 * const run = train(model, trainSet, {
 *   estimator: cge({ mu: 5e-3, sparsity }),
 *   optimizer: sgd({ lr: cosine({ peak: 0.1, warmupEpochs: 3 }), momentum: 0.9, weightDecay: 5e-4 }),
 *   epochs: 50,
 * });
 * for await (const { step, loss } of run) if (step % 100 === 99) await run.save('run.safetensors');
 */
export function train(model: Model, dataset: Dataset, options: TrainOptions): TrainRun {
  return new TrainRun(model, dataset, planTraining(model, dataset, options));
}

/** Models that a run is making a step of: what another run made of them meanwhile would be lost, or mixed with it. */
const stepping = new WeakSet<Model>();

/** A training run, made by `train`: an asynchronous sequence of its steps, to be iterated once. */
export class TrainRun implements AsyncIterable<TrainStep> {
  /** Steps of the whole run. */
  readonly totalSteps: number;
  /** ⌊count / batchSize⌋. */
  readonly stepsPerEpoch: number;
  readonly #model: Model;
  readonly #dataset: Dataset;
  readonly #plan: TrainPlan;
  #optimizer: OptimizerState;
  #resumedIsa: string | undefined;
  #saving: Promise<void> = Promise.resolve();
  #resumed: Promise<void> | undefined;
  #started = false;
  #step = 0;
  #order: { epoch: number; images: Uint32Array } | undefined;

  constructor(model: Model, dataset: Dataset, plan: TrainPlan) {
    this.totalSteps = plan.totalSteps;
    this.stepsPerEpoch = plan.stepsPerEpoch;
    this.#model = model;
    this.#dataset = dataset;
    this.#plan = plan;
    this.#optimizer = checkState(plan.optimizer.init(model.parameterCount), model.parameterCount);
  }

  /** Steps finished; those before a resumption count from the first iteration, `resume`, `estimateCost` or `save` on. */
  get step(): number {
    return this.#step;
  }

  /**
   * The instruction set, as `DEEPZERO_ISA` names it, under which the checkpoint was written that this run goes on from, known
   * when `step` is. If another is in use, results may differ in the last bits from those of a run never stopped.
   */
  get resumedIsa(): string | undefined {
    return this.#resumedIsa;
  }

  /**
   * Foretells queries and time of the steps to go by timing a sample of the next one's, spread over its layers, in a couple
   * of seconds. The run's results are as without it.
   *
   * @example console.log(await run.estimateCost()); // { queriesPerStep: 28221, secondsPerStep: …, steps: …, hours: … }
   */
  async estimateCost(): Promise<TrainCost> {
    await this.resume();
    const { queriesPerStep } = this.#plan;
    const steps = this.totalSteps - this.#step;
    const secondsPerStep = await this.#timeStep();
    return { queriesPerStep, secondsPerStep, steps, hours: (steps * secondsPerStep) / 3600 };
  }

  /**
   * Writes a checkpoint atomically: `train` resumes from it to the same bits as without the interruption, `Model.load` reads
   * its weights. It holds the run as it is when called; the run may go on meanwhile. Of several, the last called is the last
   * written.
   *
   * @throws FileError if the file cannot be written, or a value is not finite.
   */
  async save(file: string): Promise<void> {
    check.string(file, 'file');
    // What waits here lets others write to the model first.
    if (this.#plan.resume !== undefined && this.#resumedIsa === undefined) await this.resume();
    const content = encodeCheckpoint(file, this.#model, this.#state(), this.#step);
    const written = this.#saving.then(() => writeFileAtomically(file, content));
    this.#saving = written.catch(() => undefined);
    await written;
  }

  [Symbol.asyncIterator](): AsyncGenerator<TrainStep, void, void> {
    if (this.#started) throw new Error('A run is iterated once: save it and resume, or make another');
    this.#started = true;
    return this.#steps();
  }

  async *#steps(): AsyncGenerator<TrainStep, void, void> {
    await this.resume();
    const model = this.#model;
    while (this.#step < this.totalSteps) {
      if (stepping.has(model)) throw new Error('Another run is making a step of this model: one at a time moves it');
      stepping.add(model);
      yield await this.#advance().finally(() => stepping.delete(model));
    }
  }

  async #advance(): Promise<TrainStep> {
    const begun = performance.now();
    const { estimator, optimizer, signal, onProgress } = this.#plan;
    const { stepsPerEpoch, totalSteps } = this;
    const position = this.#position(this.#step);
    const lr = optimizer.lr.at({ step: position.step, stepsPerEpoch, epochs: totalSteps / stepsPerEpoch });
    check.nonNegative(lr, "the schedule's learning rate");
    const batch = this.#batch(position);
    const estimate = await this.#estimate(estimator, batch, { ...position, signal, onProgress });
    const { loss, outputs, queries } = estimate;
    this.#commit(estimate, lr);
    const seconds = (performance.now() - begun) / 1000;
    return {
      step: position.step,
      epoch: position.epoch,
      loss,
      ...(batch.labels && { accuracy: countCorrect(outputs, batch.labels) / batch.count }),
      lr,
      queries,
      seconds,
      queriesPerSecond: queries / seconds,
    };
  }

  /** An estimate, of an estimator that may be the user's own. */
  async #estimate(estimator: Estimator, batch: Batch, context: EstimateContext): Promise<GradientEstimate> {
    const { compiled, parameters, statistics } = this.#model;
    const estimate: GradientEstimate = await estimator.estimate(this.#model, batch, context);
    check.object(estimate, "what the estimator's estimate resolves to");
    check.finite(estimate.loss, "the estimate's loss");
    check.integer(estimate.queries, "the estimate's queries");
    checkArray(estimate.outputs, batch.count * compiled.outputs, "the estimate's outputs");
    checkArray(estimate.gradient, parameters.length, "the estimate's gradient");
    checkArray(estimate.statistics, statistics.length, "the estimate's statistics");
    return estimate;
  }

  /** Moves the model, the optimizer and the count, all or none: nothing waits, and what may throw comes first. */
  #commit(estimate: GradientEstimate, lr: number): void {
    const { compiled, parameters, statistics } = this.#model;
    const moved = { parameters: parameters.slice(), statistics: estimate.statistics };
    const optimizer = structuredClone(this.#optimizer);
    this.#plan.optimizer.update(moved.parameters, estimate.gradient, optimizer, lr);
    const found = findInvalid(runTensors(compiled, moved, optimizer));
    if (found !== undefined) {
      const wrong = estimate.gradient.findIndex((value) => !Number.isFinite(value));
      if (wrong < 0)
        throw new NonFiniteLossError(
          `after its update ${found.place} is ${found.value}; lower the learning rate`,
          this.#step,
          null,
        );
      const coordinate = coordinateAt(compiled, wrong);
      const problem = `the estimated gradient of ${nameOf(coordinate)} is ${estimate.gradient[wrong]}`;
      throw new NonFiniteLossError(problem, this.#step, coordinate);
    }
    parameters.set(moved.parameters);
    statistics.set(moved.statistics);
    this.#optimizer = optimizer;
    this.#step += 1;
  }

  /**
   * Reads the checkpoint to go on from, if there is one and it is not read yet; whatever uses the run first does so too.
   *
   * @throws FileError if `resume` names no checkpoint of a run with these options.
   */
  resume(): Promise<void> {
    const { resume } = this.#plan;
    this.#resumed ??= (async () => {
      if (resume === undefined) return;
      const { step, isa } = await readCheckpoint(resume, this.#model, this.#state());
      this.#step = step;
      this.#resumedIsa = isa;
    })();
    return this.#resumed;
  }

  #state(): RunState {
    const { config, estimator } = this.#plan;
    const maskAt = (step: number): Uint32Array | undefined =>
      estimator.coordinates?.(this.#model, this.#position(step));
    return { options: config, optimizer: this.#optimizer, maskAt };
  }

  #position(step: number): EstimatePosition {
    return { seed: this.#plan.seed, step, epoch: Math.floor(step / this.stepsPerEpoch) };
  }

  #batch({ seed, step, epoch }: EstimatePosition): Batch {
    if (this.#order?.epoch !== epoch) {
      const images = Uint32Array.from({ length: this.#dataset.count }, (_, i) => i);
      this.#order = { epoch, images: new Random(seed, 'shuffle', epoch).shuffle(images) };
    }
    const { batchSize, augment } = this.#plan;
    const start = (step % this.stepsPerEpoch) * batchSize;
    const indices = this.#order.images.subarray(start, start + batchSize);
    return augment ? this.#dataset.batch(indices, { seed, epoch }) : this.#dataset.batch(indices);
  }

  async #timeStep(): Promise<number> {
    const { estimator, queriesPerStep, signal } = this.#plan;
    const { threads } = this.#model;
    const position = this.#position(this.#step);
    const time = async (limit: number): Promise<{ queries: number; seconds: number }> => {
      const begun = performance.now();
      const batch = this.#batch(position);
      const sample = estimator.sample(limit);
      check.object(sample, "what the estimator's sample returns");
      const { queries } = await this.#estimate(sample, batch, { ...position, signal });
      return { queries, seconds: (performance.now() - begun) / 1000 };
    };
    // In samples of whole rounds every thread has as many queries as in a step of many.
    const rounds = (queries: number): number => 1 + threads * Math.ceil(queries / threads);
    // The first also allocates the buffers and shuffles the epoch.
    await time(rounds(1));
    const least = await time(rounds(1));
    let most = await time(rounds(Math.max(PROBE, PROBE_OF_THREAD * threads)));
    if (most.seconds < 1 && most.queries < queriesPerStep)
      most = await time(rounds((1.5 * most.queries) / most.seconds));
    if (most.queries >= queriesPerStep) return most.seconds;
    const perQuery = (most.seconds - least.seconds) / (most.queries - least.queries);
    // On a busy machine the larger sample may be the quicker: then as if all of its time were queries'.
    if (perQuery <= 0) return (most.seconds / most.queries) * queriesPerStep;
    return least.seconds + perQuery * (queriesPerStep - least.queries);
  }
}

function checkArray(value: unknown, length: number, what: string): void {
  if (value instanceof Float32Array && value.length === length) return;
  throw check.expected(what, `a Float32Array of ${length}`, value);
}

/** So may an optimizer: a checkpoint holds its count of steps, and of each slot a number for every parameter. */
function checkState(state: OptimizerState, parameterCount: number): OptimizerState {
  const { step, slots, ...others } = check.object(state, "the optimizer's state") as Partial<OptimizerState>;
  check.integer(step, "the optimizer's state.step");
  for (const [name, other] of Object.entries(others)) {
    throw check.expected(
      `the optimizer's state.${name}`,
      'absent, since a checkpoint holds step and slots alone',
      other,
    );
  }
  for (const [name, slot] of Object.entries(check.object(slots, "the optimizer's state.slots"))) {
    checkArray(slot, parameterCount, `the optimizer's state.slots.${name}`);
  }
  return state;
}
