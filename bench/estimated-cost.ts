/**
 * The time that `TrainRun.estimateCost` predicts for a step beside the measured time: for every estimator, prediction and step
 * in turn, medians over the rounds. Exits with 1 if a prediction is off by more than `TOLERANCE`.
 *
 *     npx tsx bench/estimated-cost.ts [--batch-size 256] [--rounds 3]
 */
import { parseArgs } from 'node:util';

import type { Estimator, Network } from 'deepzero';
import {
  cge,
  cnn,
  firstOrder,
  forwardGradient,
  Model,
  patternSearch,
  resnet,
  resnet20,
  rge,
  sgd,
  synthetic,
  train,
} from 'deepzero';

import { script } from '../scripts/run.js';
import { integer, number } from './support/options.js';
import { grouped } from './support/output.js';
import { median } from './support/statistics.js';

const TOLERANCE = 0.2;

const RUNS: readonly (readonly [string, Network, Estimator])[] = [
  ['first order', cnn({ depth: 2 }), firstOrder()],
  ['CGE', cnn({ depth: 2 }), cge({ mu: 5e-3 })],
  ['CGE', cnn({ depth: 5 }), cge({ mu: 5e-3 })],
  ['sparse-CGE at 0.9', cnn({ depth: 5 }), cge({ mu: 5e-3, sparsity: 0.9 })],
  ['CGE from the layer at 0.5', cnn({ depth: 2 }), cge({ mu: 5e-3, sparsity: 0.5, reuse: 'layer' })],
  ['RGE of 192', cnn({ depth: 2 }), rge({ mu: 5e-3, queries: 192 })],
  ['FG-W of 100', cnn({ depth: 2 }), forwardGradient({ queries: 100 })],
  ['pattern search of 100', cnn({ depth: 2 }), patternSearch({ radius: 0.1, queries: 100 })],
  ['sparse-CGE at 0.9', resnet({ depth: 8, width: 4 }), cge({ mu: 5e-3, sparsity: 0.9 })],
  ['first order', resnet20(), firstOrder()],
  ['sparse-CGE at 0.999', resnet20(), cge({ mu: 5e-3, sparsity: 0.999 })],
];

await script(async () => {
  const { values } = parseArgs({
    options: { 'batch-size': { type: 'string', default: '256' }, rounds: { type: 'string', default: '3' } },
  });
  const batchSize = number('', integer(1), 256).parse(values['batch-size'], '--batch-size');
  const rounds = number('', integer(1), 3).parse(values.rounds, '--rounds');
  const { train: images } = synthetic({ train: 2 * batchSize, test: 1 });
  let far = 0;
  for (const [name, network, estimator] of RUNS) {
    using model = new Model(network, { seed: 0 });
    const { optimizer = sgd({ lr: 1e-3 }) } = estimator;
    const estimated: number[] = [];
    const measured: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const run = train(model, images, { estimator, optimizer, batchSize, steps: 1 });
      estimated.push((await run.estimateCost()).secondsPerStep);
      for await (const { seconds } of run) measured.push(seconds);
    }
    const [said, took] = [median(estimated), median(measured)];
    if (Math.abs(said / took - 1) > TOLERANCE) far++;
    const ratio = `${said.toPrecision(3)} s estimated, ${took.toPrecision(3)} s measured: ${(said / took).toFixed(2)}`;
    console.log(`${network.name}, ${grouped(model.parameterCount)} parameters, ${name}: ${ratio}`);
  }
  if (far > 0) throw new Error(`${far} of ${RUNS.length} estimates are off by more than ${100 * TOLERANCE} %`);
});
