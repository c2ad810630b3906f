import type { ImageDataset } from '../data/dataset.js';
import type { Model } from '../model/model.js';
import type { EvaluateResult } from '../model/options.js';
import type { RunFolder } from './run-folder.js';
import { RunLog } from './run-folder.js';
import type { TrainRun, TrainStep } from './train.js';
import { machineInWords } from '../native/machine.js';

/** Between steps a checkpoint is written when the last one is older. */
const SAVE_SECONDS = 60;

/** A step as the log has it. */
export interface LoggedStep extends TrainStep {
  /** What the times are of, from this step on. */
  machine?: string;
  /** What the model then does on the test images. */
  test?: EvaluateResult;
}

interface Loop {
  readonly model: Model;
  readonly folder: RunFolder;
  readonly test: ImageDataset;
  readonly batchSize: number;
  /** Steps after which the model is tested: an epoch's unless given. */
  readonly testEvery?: number | undefined;
  readonly signal: AbortSignal | undefined;
  /** Called after every step, whose line is in the log. */
  readonly onStep?: (step: LoggedStep) => void;
}

/**
 * Makes the steps that are left of a run, in its folder: a line of the log for every step, the test images every epoch or
 * `testEvery` steps, a checkpoint there and every minute. Aborting saves the steps done and rejects with the signal's reason.
 */
export async function trainInFolder(run: TrainRun, loop: Loop): Promise<void> {
  const { folder, signal, testEvery = run.stepsPerEpoch } = loop;
  await run.resume();
  if (run.step > 0 && run.step % testEvery === 0) await amendTest(run.step - 1, loop);
  const log = await RunLog.open(folder.log, run.step);
  const save = async (): Promise<void> => {
    await log.sync();
    await run.save(folder.checkpoint);
  };
  let saved = performance.now();
  const first = run.step;
  try {
    for await (const step of run) {
      const tested = run.step % testEvery === 0;
      const test = tested ? await testUnlessStopped(loop) : undefined;
      const machine = step.step === first ? machineInWords(loop.model) : undefined;
      const logged = { ...step, ...(machine && { machine }), ...(test && { test }) };
      await log.append(logged);
      loop.onStep?.(logged);
      if (tested || performance.now() - saved > 1000 * SAVE_SECONDS) {
        await save();
        saved = performance.now();
      }
    }
    await save();
  } catch (error) {
    if (signal?.aborted && error === signal.reason) await save();
    throw error;
  } finally {
    await log.close();
  }
}

/** Makes up for the test after a step, if it was stopped in it. */
async function amendTest(step: number, loop: Loop): Promise<void> {
  const logged = (await RunLog.steps(loop.folder.log, step + 1))[step];
  if (!logged || logged.test) return;
  const test = await testUnlessStopped(loop);
  if (test) await RunLog.amend(loop.folder.log, { ...logged, test });
}

/** A step is done and is to be logged whether or not its epoch's test is. */
async function testUnlessStopped({ model, test, batchSize, signal }: Loop): Promise<EvaluateResult | undefined> {
  if (signal?.aborted) return undefined;
  try {
    return await model.evaluate(test, { signal, batchSize });
  } catch (error) {
    if (signal?.aborted && error === signal.reason) return undefined;
    throw error;
  }
}
