/**
 * A process that trains and writes a checkpoint after every step: `checkpointing-run.ts FILE`. It prints a line after each
 * checkpoint, and before its last step waits until it is killed or its standard input ends.
 *
 * @module
 */
import { once } from 'node:events';
import { pathToFileURL } from 'node:url';
import { cge } from '../../lib/estimators/cge.js';
import { Model } from '../../lib/model/model.js';
import { sgd } from '../../lib/optimizers/optimizers.js';
import type { TrainRun } from '../../lib/training/train.js';
import { train } from '../../lib/training/train.js';
import { tinyImages, tinyNetwork } from './tiny.js';

const STEPS = 40;

/** The run that is killed, and resumed by the test. */
export function startRun(resume?: string): { model: Model; run: TrainRun } {
  const model = new Model(tinyNetwork(), { seed: 2 });
  const estimator = cge({ mu: 5e-3, sparsity: 0.4, redrawEvery: 1 });
  const optimizer = sgd({ lr: 0.05, momentum: 0.9, weightDecay: 5e-4 });
  const options = {
    estimator,
    optimizer,
    steps: STEPS,
    batchSize: 8,
    seed: 2,
    ...(resume !== undefined && { resume }),
  };
  return { model, run: train(model, tinyImages(), options) };
}

const [, script, file] = process.argv;
if (file !== undefined && import.meta.url === pathToFileURL(script!).href) {
  const { run } = startRun();
  for await (const { step } of run) {
    await run.save(file);
    console.log(step);
    if (step === STEPS - 2) await once(process.stdin.resume(), 'end');
  }
}
