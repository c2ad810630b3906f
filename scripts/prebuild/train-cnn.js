/**
 * Trains the CNN for twenty steps, by a tenth of its coordinates in each, and writes its weights, as test-arm64.ts asks for on several processors.
 *
 *     node scripts/prebuild/train-cnn.js FILE THREADS
 *
 * @module
 */
import { writeFileSync } from 'node:fs';
import { argv, stdout } from 'node:process';
import { cge, cnn, Model, sgd, synthetic, train } from '../../dist/index.js';

const [file, threads] = argv.slice(2);
const { train: images } = synthetic({ seed: 1, train: 64, test: 8 });
const model = new Model(cnn(), { seed: 1, threads: Number(threads) });
const optimizer = sgd({ lr: 0.01 });
const run = train(model, images, {
  estimator: cge({ mu: 1e-3, sparsity: 0.9 }),
  optimizer,
  steps: 20,
  batchSize: 16,
  seed: 1,
});
for await (const { step, loss } of run) stdout.write(`step ${step}: loss ${loss}\n`);
writeFileSync(file, model.parameters);
