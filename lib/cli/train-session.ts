/**
 * One run of `deepzero train` from its settings to its weights: cost, ratios, steps, log, checkpoints, tests.
 *
 * @module
 */
import type { ImageDatasets } from '../data/cifar10.js';
import { exists } from '../support/files.js';
import type { LayerRatios } from '../estimators/masks.js';
import type { Model } from '../model/model.js';
import type { EvaluateResult } from '../model/options.js';
import type { Optimizer } from '../optimizers/optimizers.js';
import { mean } from '../support/statistics.js';
import type { TrainRun } from '../training/train.js';
import { train } from '../training/train.js';
import type { Output } from './output.js';
import { counted, grouped, percent } from './output.js';
import { ofOtherIsa } from '../native/machine.js';
import { duration } from '../support/words.js';
import type { Method } from './prune.js';
import { findRatios, ratioTable, readRatios, writeRatios } from './prune.js';
import type { RunFolder } from '../training/folder.js';
import { ProgressMeter, WINDOW } from './train-progress.js';
import type { TrainSettings } from './train-settings.js';
import { makeEstimator, ratiosFrom } from './train-settings.js';

interface Parts {
  readonly settings: TrainSettings;
  readonly model: Model;
  readonly data: ImageDatasets;
  readonly optimizer: Optimizer;
  readonly folder: RunFolder;
  readonly output: Output;
  readonly signal: AbortSignal;
}

export class TrainSession {
  readonly #parts: Parts;
  #meter = new ProgressMeter(0);

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Trains to the end, from the folder's checkpoint if it has one. Aborting saves and rejects with the signal's reason. */
  async run(): Promise<object> {
    const { settings, model, folder, output } = this.#parts;
    const begun = performance.now();
    const resumed = await exists(folder.checkpoint);
    const { known, method } = await this.#ratios();
    let run = this.#start(known ?? settings.sparsity);
    await this.#sayCost(run, method ? 'Cost, were the sparsity the same in every layer' : 'Cost');
    const note = ofOtherIsa(run);
    if (note !== undefined) output.line(note);
    if (method) {
      run = this.#start(await this.#prune(method));
      await this.#sayCost(run, 'Cost with these ratios');
    }

    await this.#steps(run);
    await model.save(folder.weights);
    const test = await this.#test();
    const seconds = (performance.now() - begun) / 1000;
    const loss = await lossesAtEnds(folder);
    output.line(
      `\nloss ${loss.first.toFixed(3)} in the first steps, ${loss.last.toFixed(3)} in the last (means of ${loss.count})`,
    );
    output.line(
      `test accuracy ${percent(test.accuracy ?? NaN)}, test loss ${test.loss.toFixed(3)}; ${duration(seconds)}${resumed ? ' since the run was resumed' : ''}`,
    );
    output.line(`weights in ${folder.weights}`);
    return { out: folder.path, steps: run.step, seconds, loss, test, weights: folder.weights };
  }

  /** The sparsity to draw masks to, or the method that is still to find it. */
  async #ratios(): Promise<{ known?: LayerRatios | number; method?: Method }> {
    const { settings, model, folder } = this.#parts;
    const source = ratiosFrom(settings);
    if (source === 'uniform') return { known: settings.sparsity };
    // A run that has stepped has ratios: without its file it cannot go on, and reading says so.
    const found = (await exists(folder.ratios)) || (await exists(folder.checkpoint));
    return source !== 'file' && !found ? { method: source } : { known: await readRatios(folder.ratios, model) };
  }

  async #prune(method: Method): Promise<LayerRatios> {
    const { settings, model, data, folder, output } = this.#parts;
    const ratios = await findRatios(method, model, data.train, settings, this.#parts);
    await writeRatios(folder.ratios, { ratios });
    output.line(`${ratioTable(model, ratios)}\n`);
    return ratios;
  }

  #start(sparsity: LayerRatios | number): TrainRun {
    const { settings, model, data, optimizer, folder, output, signal } = this.#parts;
    const { batchSize, seed, epochs, steps = 1 } = settings;
    const run: TrainRun = train(model, data.train, {
      estimator: makeEstimator(settings, sparsity),
      optimizer,
      ...(epochs === undefined ? { steps } : { epochs }),
      folder,
      test: data.test,
      batchSize,
      seed,
      signal,
      onProgress: (done, total) => {
        output.status(this.#meter.line(run.step, done / total), 'small');
      },
    });
    return run;
  }

  async #sayCost(run: TrainRun, title: string): Promise<void> {
    const { queriesPerStep, secondsPerStep, steps, hours } = await run.estimateCost();
    const { output } = this.#parts;
    if (steps === 0) {
      output.line('All steps are done.');
      return;
    }
    const step = `${queriesPerStep === 1 ? '1 query' : `${grouped(queriesPerStep)} queries`}, about ${duration(secondsPerStep)} a step`;
    output.line(`${title}: ${step}; ${counted(steps, 'step')}, about ${duration(3600 * hours)} in all.`);
  }

  async #steps(run: TrainRun): Promise<void> {
    const { output, signal } = this.#parts;
    this.#meter = new ProgressMeter(run.totalSteps);
    const milestone = Math.max(1, Math.round(run.totalSteps / 10));
    if (run.step < run.totalSteps) output.line(`Loss, accuracy and speed are means over the last ${WINDOW} steps.`);
    try {
      for await (const step of run) {
        this.#meter.add(step);
        const test = step.test ? `  test accuracy ${percent(step.test.accuracy ?? NaN)}` : '';
        const line = this.#meter.line(run.step) + test;
        if (run.step % run.stepsPerEpoch === 0 || run.step % milestone === 0) output.line(line);
        else output.status(line);
      }
    } catch (error) {
      if (error === signal.reason) {
        output.line(
          `${grouped(run.step)} of ${counted(run.totalSteps, 'step')} are done and saved; a step in progress is not kept.`,
        );
      }
      throw error;
    }
  }

  #test(): Promise<EvaluateResult> {
    const { model, data, signal, settings } = this.#parts;
    return model.evaluate(data.test, { signal, batchSize: settings.batchSize });
  }
}

/** Mean losses of the first and the last steps. */
async function lossesAtEnds(folder: RunFolder): Promise<{ first: number; last: number; count: number }> {
  const losses = (await folder.steps()).map(({ loss }) => loss);
  const count = Math.min(5, Math.ceil(losses.length / 2));
  return { first: mean(losses.slice(0, count)), last: mean(losses.slice(losses.length - count)), count };
}
