import { Batches } from '../data/batches.js';
import type { Batch, Dataset } from '../data/dataset.js';
import type { EstimateContext, EstimatePosition, Estimator, GradientEstimate } from '../estimators/estimator.js';
import type { Model } from '../model/model.js';
import { NonFiniteLossError } from '../model/non-finite.js';
import type { EvaluateResult } from '../model/options.js';
import { countCorrect, outputsOf } from '../model/problem.js';
import { findInvalid } from '../model/weights.js';
import { describeMachine } from '../native/machine.js';
import { rankCount } from '../ranks/join.js';
import { coordinateAt, nameOf } from '../network/coordinates.js';
import { FileError } from '../support/errors.js';
import { exists, writeFileAtomically } from '../support/files.js';
import { checked, nonNegative, string } from '../support/schema.js';
import type { RunChange, RunState } from './checkpoint.js';
import { encodeCheckpoint, readCheckpoint, runTensors } from './checkpoint.js';
import type { TrainCost } from './cost.js';
import { timeShares, timeStep } from './cost.js';
import type { Norms } from './descent.js';
import { checkArray, checkObject, Descent } from './descent.js';
import type { RunFolder } from './folder.js';
import type { TrainStep } from './log.js';
import { amendLog, readStep } from './log.js';
import type { TrainOptions, TrainPlan } from './options.js';
import { planTraining } from './options.js';
import { ranksCost } from './ranks-cost.js';
import { densities, MaskChanges } from './record/mask.js';
import { RunRecord } from './record/record.js';

/**
 * Trains a model from loss values alone, algorithm 1 of DeepZero (Chen et al., ICLR 2024): every step estimates the gradient
 * on the next mini-batch and lets the optimizer move the parameters along it.
 *
 * An epoch is ⌊count / batchSize⌋ batches of the images in a random order, another one each epoch, without those left over. All
 * random choices are functions of (seed, position): equal options give equal bits, on any number of threads and across
 * resumptions, under one instruction set (`resumedIsa`).
 *
 * Nothing runs until the run is iterated. Leaving the loop ends the run between two steps; aborting `signal` rejects with its
 * reason, as promptly as any call of the model; model and optimizer keep the state after the last finished step. After either,
 * `save` still works. Runs may take turns on a model, but while one makes a step or tests the model, the others refuse to make a
 * step or to read a checkpoint.
 *
 * With `folder` the run keeps a log and checkpoints in a folder, and the same program started again goes on where it stopped,
 * also after a crash. `mayChange` lets it go on for longer or at another learning rate.
 *
 * @throws InvalidArgumentError if an option is out of range or unknown, the batch is larger than the data set, images or
 *   classes do not fit the network, or the estimator works with another optimizer only. Iteration rejects with
 *   `NonFiniteLossError` if a loss is NaN or infinite or a step would make a parameter so, and with `FileError` if the
 *   checkpoint is not one of a run with these options, or a file cannot be written.
 * @example
 * const run = train(model, trainSet, {
 *   estimator: cge({ mu: 5e-3, ratios }),
 *   optimizer: sgd({ lr: cosine({ peak: 0.1, warmupEpochs: 3 }), momentum: 0.9, weightDecay: 5e-4 }),
 *   epochs: 50,
 * });
 * for await (const { step, loss } of run) if (step % 100 === 99) await run.save('run.safetensors');
 */
export function train(model: Model, dataset: Dataset, options: TrainOptions): TrainRun {
  return new TrainRun(model, dataset, planTraining(model, dataset, options));
}

type NetworkEstimate = GradientEstimate & { outputs: Float32Array; statistics: Float32Array };

/** Models that a run is updating or testing: others must not write to them meanwhile. */
const busy = new WeakSet<Model>();

/** A training run, made by `train`: an asynchronous sequence of its steps, to be iterated once. */
export class TrainRun implements AsyncIterable<TrainStep> {
  /** Steps of the whole run. */
  readonly totalSteps: number;
  /** ⌊count / batchSize⌋. */
  readonly stepsPerEpoch: number;
  /** Every option that the results depend on, as JSON; a resumed run has an equal one, except for `changes`. */
  readonly config: object;
  readonly #model: Model;
  readonly #batches: Batches;
  readonly #plan: TrainPlan;
  readonly #descent: Descent<Model>;
  #resumedIsa: string | undefined;
  #changes: readonly RunChange[] = [];
  #saving: Promise<void> = Promise.resolve();
  #resumption: Promise<readonly RunChange[]> | undefined;
  /** The resumption is over. */
  #ready = false;
  #started = false;
  #step = 0;
  /** Queries of the steps done. */
  #queries = 0;
  readonly #masks = new MaskChanges();
  #record: RunRecord | undefined;
  /** The last test was aborted. */
  #lacksTest = false;

  constructor(model: Model, dataset: Dataset, plan: TrainPlan) {
    this.totalSteps = plan.totalSteps;
    this.stepsPerEpoch = plan.stepsPerEpoch;
    this.config = plan.config;
    this.#model = model;
    this.#batches = new Batches(dataset, plan);
    this.#plan = plan;
    this.#descent = new Descent(model, plan.estimator, plan.optimizer);
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

  /** The options that this run changed whenever it was resumed, known when `step` is; checkpoints keep the list. */
  get changes(): readonly RunChange[] {
    return this.#changes;
  }

  /**
   * Predicts queries and time of the steps left by timing a sample of the next one's queries, spread over the layers, in about
   * two seconds. It does not affect the run's results.
   *
   * @example console.log(await run.estimateCost()); // { queriesPerStep: 28221, secondsPerStep: …, steps: …, hours: …, ranks: [ … ] }
   */
  async estimateCost(): Promise<TrainCost> {
    await this.resume();
    const { estimator, queriesPerStep, signal } = this.#plan;
    const position = this.#position(this.#step);
    const sample = async (limit: number): Promise<number> => {
      const part = checkObject(estimator.sample(limit), "the result of the estimator's sample");
      return (await this.#estimate(this.#batches.at(position), { ...position, signal }, part)).queries;
    };
    const time = await timeStep(sample, queriesPerStep, this.#model.threads * rankCount());
    const steps = this.totalSteps - this.#step;
    const hours = (steps * time.secondsPerStep) / 3600;
    const ranks = await ranksCost(this.#model, this.#plan, position, time, steps);
    return { queriesPerStep, ...time, steps, hours, ranks };
  }

  /**
   * How much of a step's time its queries take, of which the expensive ones come first.
   *
   * @returns The fraction of the time, given the fraction of the queries that are done.
   * @example const share = await run.timeShares(); // share(0.1) is 0.37 of sparse-CGE on ResNet-20
   */
  async timeShares(): Promise<(queries: number) => number> {
    await this.resume();
    return timeShares(this.#model, this.#maskAt(this.#step));
  }

  /**
   * Writes a checkpoint atomically: `train` resumes from it to the same bits as without the interruption, `Model.load` reads
   * its weights. It holds the run as it is when called; the run may go on meanwhile. Of several calls, the last one's is
   * written last.
   *
   * @throws FileError if the file cannot be written, or a value is not finite.
   */
  async save(file: string): Promise<void> {
    checked(string, file, 'file');
    const { resume, folder } = this.#plan;
    // Without a checkpoint to read first, nothing may wait here: others could write to the model.
    if (!this.#ready && (resume !== undefined || folder)) await this.resume();
    const content = encodeCheckpoint(file, this.#model, this.#state(), this.#step);
    const written = this.#saving.then(() => writeFileAtomically(file, content));
    this.#saving = written.catch(() => undefined);
    await written;
  }

  /**
   * Reads the checkpoint that the run goes on from, if there is one and it has not been read; iteration, `estimateCost` and
   * `save` do so first. After an error it can be called again.
   *
   * @returns The options that differ from those of the checkpoint: the last of `changes`.
   * @throws FileError if the file is no checkpoint, or not one of a run with these options; Error if another run is updating or
   *   testing the model.
   */
  resume(): Promise<readonly RunChange[]> {
    this.#resumption ??= this.#resume().catch((error: unknown) => {
      this.#resumption = undefined;
      throw error;
    });
    return this.#resumption;
  }

  async #resume(): Promise<readonly RunChange[]> {
    const { resume, folder, mayChange } = this.#plan;
    if (folder && (await exists(folder.journal))) {
      throw new FileError(folder.path, 'holds journal.jsonl, of a run of minimize: choose another folder');
    }
    const file = folder && (await exists(folder.checkpoint)) ? folder.checkpoint : resume;
    const read = file === undefined ? undefined : await this.#alone(() => this.#read(file, mayChange));
    this.#ready = true;
    return read ?? [];
  }

  async #read(file: string, mayChange: boolean): Promise<readonly RunChange[]> {
    const { step, queries, isa, earlier, made } = await readCheckpoint(file, this.#model, this.#state(), mayChange);
    this.#step = step;
    this.#queries = queries ?? step * this.#plan.queriesPerStep;
    this.#resumedIsa = isa;
    this.#changes = [...earlier, ...made];
    return made;
  }

  /** Does something while no other run writes to the model. */
  async #alone<T>(action: () => Promise<T>): Promise<T> {
    const model = this.#model;
    if (busy.has(model)) throw new Error('Another training run is currently updating this model');
    busy.add(model);
    try {
      return await action();
    } finally {
      busy.delete(model);
    }
  }

  /** The steps that are left, each after its update; see `TrainRun`. */
  [Symbol.asyncIterator](): AsyncGenerator<TrainStep, void, void> {
    if (this.#started) throw new Error('A run is iterated once: save it and resume, or start another');
    this.#started = true;
    return this.#plan.folder ? this.#recordedSteps(this.#plan.folder) : this.#steps();
  }

  /** The steps, each tested where a test is due. */
  async *#steps(): AsyncGenerator<TrainStep, void, void> {
    await this.resume();
    const first = this.#step;
    while (this.#step < this.totalSteps) {
      // A custom estimator may not look at the signal.
      this.#plan.signal?.throwIfAborted();
      // The test is of the parameters after this step.
      const step = await this.#alone(async () => {
        const made = await this.#advance();
        const test = this.#isTestDue() ? await this.#testUnlessAborted() : undefined;
        return { ...made, ...(test && { test }) };
      });
      yield step.step === first ? { ...step, machine: describeMachine(this.#model) } : step;
    }
    if (this.#lacksTest) this.#plan.signal?.throwIfAborted();
  }

  /** The steps, each in the folder's log, and in a checkpoint where one is due, before it is yielded. */
  async *#recordedSteps(folder: RunFolder): AsyncGenerator<TrainStep, void, void> {
    await this.resume();
    await this.#amendTest(folder);
    const { checkpointEvery, signal, tensorboard } = this.#plan;
    const { config, totalSteps } = this;
    const { threads, tensors } = this.#model;
    const mask = this.#maskAt(Math.min(this.#step, totalSteps - 1));
    const shareOf = await this.timeShares();
    const here = { config, step: this.#step, totalSteps, threads, tensors, mask, shareOf, tensorboard };
    this.#record = await RunRecord.open(folder, here);
    yield* this.#record.keep(this.#steps(), {
      signal,
      save: () => this.save(folder.checkpoint),
      // However soon a run is killed, it loses at most half of the time since its start, and the step in progress.
      isDue: (age, savedAfter) => this.#isTestDue() || age >= Math.min(1000 * checkpointEvery, savedAfter),
    });
  }

  /** Whether a test, and with a folder a checkpoint, follows the last step. */
  #isTestDue(): boolean {
    return this.#step > 0 && (this.#step % this.#plan.testEvery === 0 || this.#step === this.totalSteps);
  }

  /** A finished step is yielded even if its test is aborted. */
  async #testUnlessAborted(): Promise<EvaluateResult | undefined> {
    const { test, batchSize, signal } = this.#plan;
    if (!test) return undefined;
    this.#lacksTest = true;
    if (signal?.aborted) return undefined;
    try {
      const result = await this.#model.evaluate(test, { signal, batchSize });
      this.#lacksTest = false;
      return result;
    } catch (error) {
      if (signal?.aborted && error === signal.reason) return undefined;
      throw error;
    }
  }

  /** Repeats the test after the last step if that was aborted in it. */
  async #amendTest(folder: RunFolder): Promise<void> {
    if (!this.#isTestDue()) return;
    const last = await readStep(folder.log, this.#step - 1);
    if (last.test) return;
    const test = await this.#alone(() => this.#testUnlessAborted());
    if (test) await amendLog(folder.log, { ...last, test });
  }

  async #advance(): Promise<TrainStep> {
    const begun = performance.now();
    const { optimizer, signal } = this.#plan;
    const { stepsPerEpoch, totalSteps } = this;
    const position = this.#position(this.#step);
    const lr = optimizer.lr.at({ step: position.step, stepsPerEpoch, epochs: totalSteps / stepsPerEpoch });
    checked(nonNegative, lr, "the schedule's learning rate");
    const batch = this.#batches.at(position);
    const mask = await this.#nextMask(position.step);
    const estimate = await this.#estimate(batch, { ...position, signal, onProgress: this.#onProgress() });
    const { loss, outputs, queries, failed } = estimate;
    const norms = this.#commit(estimate, lr);
    const seconds = (performance.now() - begun) / 1000;
    return {
      step: position.step,
      epoch: position.epoch,
      loss,
      ...(batch.labels && { accuracy: countCorrect(outputs, batch.labels) / batch.count }),
      lr,
      queries,
      ...(failed !== undefined && { failed }),
      seconds,
      queriesPerSecond: queries / seconds,
      time: new Date().toISOString(),
      totalQueries: this.#queries,
      ...norms,
      ...(mask && { density: densities(this.#model.tensors, mask) }),
    };
  }

  /** The mask of a step, written to the folder, if it is not that of the step before. */
  async #nextMask(step: number): Promise<Uint32Array | undefined> {
    const mask = this.#masks.next(this.#maskAt(step), () => (step > 0 ? this.#maskAt(step - 1) : undefined));
    if (mask) await this.#record?.mask(mask);
    return mask;
  }

  /** Tells the caller, and the folder's status, of the queries done. */
  #onProgress(): TrainPlan['onProgress'] {
    const { onProgress } = this.#plan;
    const record = this.#record;
    if (!record) return onProgress;
    return (done, total) => {
      record.progress(done, total);
      onProgress?.(done, total);
    };
  }

  /** An estimate with what a network's has, checked since the estimator may be custom. */
  async #estimate(batch: Batch, context: EstimateContext, estimator?: Estimator): Promise<NetworkEstimate> {
    const { statistics: before } = this.#model;
    const estimate = await this.#descent.estimate(batch, context, estimator);
    const { outputs, statistics } = estimate;
    const width = batch.count * outputsOf(this.#model);
    checkArray(outputs, Float32Array, width, "the estimate's outputs");
    checkArray(statistics, Float32Array, before.length, "the estimate's statistics");
    return { ...estimate, outputs, statistics };
  }

  /** Updates the model, the optimizer and the count, all or none: nothing waits, and everything that may throw comes first. */
  #commit(estimate: NetworkEstimate, lr: number): Norms {
    const { compiled, statistics } = this.#model;
    const { statistics: after } = estimate;
    const update = this.#descent.update(estimate, lr);
    const moved = { parameters: update.parameters as Float32Array, statistics: after };
    const found = findInvalid(runTensors(compiled, moved, update.optimizer));
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
    const norms = this.#descent.norms(estimate, update);
    this.#descent.commit(update);
    statistics.set(after);
    this.#step += 1;
    this.#queries += estimate.queries;
    return norms;
  }

  #state(): RunState {
    const { config, lengthOption } = this.#plan;
    const maskAt = (step: number): Uint32Array | undefined => this.#maskAt(step);
    const [changes, queries] = [this.#changes, this.#queries];
    return { config, lengthOption, changes, queries, optimizer: this.#descent.state, maskAt };
  }

  #maskAt(step: number): Uint32Array | undefined {
    return this.#plan.estimator.coordinates?.(this.#model, this.#position(step));
  }

  #position(step: number): EstimatePosition {
    return { seed: this.#plan.seed, step, epoch: Math.floor(step / this.stepsPerEpoch) };
  }
}
