/**
 * One training run of a correction: resumed where it stopped, and never repeated.
 *
 * @module
 */
import { join } from 'node:path';

import type { Dataset, TrainStep } from 'deepzero';
import { describeMachine, RunFolder, train } from 'deepzero';
import * as v from 'valibot';

import { cached } from '../support/cache.js';
import type { Surroundings } from '../support/report.js';
import { rounded } from '../support/report.js';
import { totalsOf } from '../support/trial.js';
import type { Errors } from './errors.js';
import { errorsOf } from './errors.js';
import type { Fig6Method, Fig6Options } from './methods.js';
import { METHODS, optimizerOf } from './methods.js';
import type { References } from './references.js';
import { digestOf } from './references.js';
import { BestWeights } from './selection.js';
import type { Setting } from './setting.js';
import { Unrolled } from './surrogate.js';
import type { Measured } from './windows.js';
import { Windows } from './windows.js';

/** Windows of a test trajectory on which runs are tested, and how often they are, and are measured on whole training trajectories. */
const [TEST_WINDOWS, TESTS] = [2, 8];

const finite = v.pipe(v.number(), v.finite());
const errorsSchema = v.strictObject({
  velocity: v.array(finite),
  overTime: v.array(finite),
  drag: v.array(finite),
});
const runSchema = v.strictObject({
  steps: finite,
  queries: finite,
  /** Of all steps, without tests. */
  seconds: finite,
  /** Mean training loss of the last tenth of the steps. */
  loss: finite,
  /** Loss of rollouts of the test trajectories, before the first step and after some of the others. */
  curve: v.array(v.strictObject({ queries: finite, seconds: finite, loss: finite })),
  /** The step after which the run had the weights that are its result. */
  chosen: finite,
  errors: errorsSchema,
  weights: v.array(finite),
  machine: v.string(),
});
export type Fig6Run = v.InferOutput<typeof runSchema>;

/** No correction at all. */
export interface Source {
  readonly errors: Errors;
  readonly machine: string;
}

/** Trains corrections and measures them, each once. */
export class Trainer {
  readonly #choice: Fig6Options;
  readonly #setting: Setting;
  readonly #training: References;
  readonly #test: References;
  readonly #surroundings: Surroundings;
  #pairs: Promise<Dataset> | undefined;
  #source: Promise<Source> | undefined;

  constructor(
    choice: Fig6Options,
    setting: Setting,
    { training, test }: Readonly<Record<'training' | 'test', References>>,
    surroundings: Surroundings,
  ) {
    this.#choice = choice;
    this.#setting = setting;
    this.#training = training;
    this.#test = test;
    this.#surroundings = surroundings;
  }

  /** The errors without a correction, which stand for the solver too. */
  source(): Promise<Source> {
    return (this.#source ??= errorsOf(this.#setting, this.#setting.none(), this.#test).then((errors) => ({
      errors,
      machine: describeMachine(this.#surroundings),
    })));
  }

  /** Trains by a method, from given weights or small ones. */
  async run(
    method: Fig6Method,
    seed: number,
    start: ArrayLike<number> = this.#setting.initial(seed),
  ): Promise<Fig6Run> {
    const { measured, estimator: estimatorOf, length, batchSize } = METHODS[method];
    const { unroll, trajectories } = this.#choice;
    const surroundings = this.#surroundings;
    const { out, signal } = surroundings;
    await using folder = await RunFolder.open(join(out, `${method}-seed${seed}`));
    using model = measured ? this.#setting.inLoop(measured, unroll) : this.#setting.alone();
    model.parameters.set(start);
    const data = measured
      ? new Windows(this.#training, this.#setting.deviations, measured, unroll)
      : await (this.#pairs ??= this.#setting.pairs(this.#training));
    using surrogate = new Unrolled(this.#setting, unroll);
    const choice = this.#choice;
    const estimator = await estimatorOf({ choice, seed, model, data, folder, surrogate, surroundings });
    const test = measured && this.#heldOut(measured);
    const lasts = length(choice, model);
    const testEvery = 'steps' in lasts ? Math.ceil(lasts.steps / TESTS) : undefined;
    const perEpoch = Math.floor(data.count / batchSize(choice));
    const epochs = 'steps' in lasts ? lasts.steps / perEpoch : lasts.epochs;
    const optimizer = optimizerOf(METHODS[method], epochs);
    const run = train(model, data, {
      ...{ estimator, optimizer, ...lasts, batchSize: batchSize(choice), seed, folder, signal },
      ...(test && { test, testEvery: testEvery! }),
    });
    const solver = (await this.source()).errors.velocity.map((error) => rounded(error, 6));
    const given = { start: digestOf(Float32Array.from(start)), test: this.#test.digest, solver };
    const options = { ...run.config, trajectories, ...given };
    return await cached({ path: join(folder.path, 'result.json'), schema: runSchema }, options, async () => {
      const before = test && (await this.#lossOf(start, measured));
      // Of other methods the last weights are the result: NON's loss is of single steps, and that to the drag trades velocities for it.
      const selects = measured === 'velocity';
      const selection = await BestWeights.open(join(folder.path, 'best.json'), (weights) =>
        selects ? this.#wholeLossOf(weights) : Promise.resolve(0),
      );
      await run.resume();
      if (selects && run.step % testEvery! === 0) await selection.consider(run.step, model.parameters);
      for await (const { loss, seconds, test: isDue } of run) {
        if (selects && isDue) await selection.consider(run.step, model.parameters);
        const left = Math.ceil(((run.totalSteps - run.step) * seconds) / 60);
        surroundings.onStatus(
          `${method}, seed ${seed}: step ${run.step} of ${run.totalSteps}, loss ${loss.toExponential(2)}, ${left} min to go`,
        );
      }
      await selection.consider(run.step, model.parameters);
      const { step: chosen, weights } = selection.best;
      const log = await folder.steps();
      return {
        ...totalsOf(log),
        curve: before === undefined ? [] : curveOf(before, log, await this.#lossOf(model.parameters, measured!)),
        chosen,
        errors: await errorsOf(this.#setting, Float32Array.from(weights), this.#test),
        weights,
      };
    });
  }

  /** Windows far apart in the test trajectories. */
  #heldOut(measured: Measured): Windows {
    const { unroll } = this.#choice;
    const every = Math.ceil((this.#test.frames - unroll) / TEST_WINDOWS);
    return new Windows(this.#test, this.#setting.deviations, measured, unroll, every);
  }

  #lossOf(weights: ArrayLike<number>, measured: Measured): Promise<number> {
    return this.#lossOver(this.#heldOut(measured), this.#choice.unroll, weights, measured);
  }

  /** The squared error of velocities over all steps of the training trajectories. */
  #wholeLossOf(weights: ArrayLike<number>): Promise<number> {
    const steps = this.#training.frames - 1;
    const whole = new Windows(this.#training, this.#setting.deviations, 'velocity', steps);
    return this.#lossOver(whole, steps, weights, 'velocity');
  }

  async #lossOver(data: Windows, steps: number, weights: ArrayLike<number>, measured: Measured): Promise<number> {
    using model = this.#setting.inLoop(measured, steps);
    model.parameters.set(weights);
    return (await model.evaluate(data)).loss;
  }
}

/** From the start over the tests to the end. */
function curveOf(before: number, log: readonly TrainStep[], end: number): Fig6Run['curve'] {
  const curve = [{ queries: 0, seconds: 0, loss: before }];
  let [queries, seconds] = [0, 0];
  for (const step of log) {
    queries += step.queries;
    seconds += step.seconds;
    if (step.test && step !== log.at(-1)) curve.push({ queries, seconds, loss: step.test.loss });
  }
  return [...curve, { queries, seconds, loss: end }];
}
