/**
 * Short training runs and their checkpoints.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Dataset } from '../../lib/data/dataset.js';
import { cge } from '../../lib/estimators/cge.js';
import { Model } from '../../lib/model/model.js';
import { sgd } from '../../lib/optimizers/optimizers.js';
import { cosine } from '../../lib/optimizers/schedules.js';
import type { Safetensors } from '../../lib/support/safetensors.js';
import { writeSafetensors } from '../../lib/support/safetensors.js';
import type { TrainStep } from '../../lib/training/log.js';
import type { TrainOptions } from '../../lib/training/options.js';
import { train } from '../../lib/training/train.js';
import { bits, tinyNetwork, tinyTensors, withFolder } from './tiny.js';

const SGD = sgd({ lr: cosine({ peak: 0.1, warmupEpochs: 1 }), momentum: 0.9, weightDecay: 5e-4 });

export const OPTIONS: TrainOptions = {
  estimator: cge({ mu: 5e-3, sparsity: 0.5, redrawEvery: 1 }),
  optimizer: SGD,
  steps: 6,
  batchSize: 8,
  seed: 1,
};

export interface Trained {
  parameters: string;
  statistics: string;
  steps: Pick<TrainStep, 'step' | 'epoch' | 'loss' | 'accuracy' | 'lr' | 'queries'>[];
}

/** All steps of a run. */
export async function finish(run: AsyncIterable<TrainStep>): Promise<TrainStep[]> {
  const steps: TrainStep[] = [];
  for await (const step of run) steps.push(step);
  return steps;
}

/** Trains a fresh model until a step is finished; with a file, a checkpoint is written then. */
export async function trained(
  options: TrainOptions,
  dataset: Dataset,
  until = Infinity,
  file?: string,
): Promise<Trained> {
  using model = new Model(tinyNetwork(), { seed: options.resume === undefined ? 1 : 99 });
  const run = train(model, dataset, options);
  const steps: Trained['steps'] = [];
  for await (const { step, epoch, loss, accuracy, lr, queries } of run) {
    steps.push({ step, epoch, loss, lr, queries, ...(accuracy !== undefined && { accuracy }) });
    if (run.step >= until) break;
  }
  if (file !== undefined) await run.save(file);
  return { parameters: bits(model.parameters), statistics: bits(model.statistics), steps };
}

/** Writes a checkpoint of any content under a checksum that is right. */
export async function writeCheckpoint(file: string, { tensors, metadata }: Safetensors): Promise<void> {
  const hash = createHash('sha256').update(metadata['run']!);
  for (const [name, { data }] of [...tensors].sort(([a], [b]) => (a < b ? -1 : 1))) {
    hash.update(name).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  await writeSafetensors(file, tensors, { ...metadata, sha256: hash.digest('hex') });
}

/** Calls `use` with a checkpoint after three steps. */
export async function withCheckpoint(use: (file: string) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const file = join(folder, 'run.safetensors');
    await trained(OPTIONS, tinyTensors(), 3, file);
    await use(file);
  });
}
