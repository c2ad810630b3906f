/**
 * What `TrainRun.estimateCost` says of a step beside the steps themselves: for every way to train, estimate and steps in
 * turn, medians over the rounds. Prints a table; exits with 1 if an estimate is off by more than 20 %.
 *
 *     npx tsx bench/estimated-cost.ts [--batch-size 256] [--rounds 3]
 */
import { parseArgs } from 'node:util';

import { median } from '../lib/bench/statistics.js';
import { table } from '../lib/cli/output.js';
import { integer } from '../lib/check.js';
import type { Estimator, Network } from '../lib/index.js';
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
} from '../lib/index.js';
import { script } from '../scripts/run.js';

const TOLERANCE = 0.2;

const RUNS: readonly (readonly [string, Network, Estimator])[] = [
  ['CNN 3,700, first order', cnn({ depth: 2 }), firstOrder()],
  ['CNN 3,700, CGE', cnn({ depth: 2 }), cge({ mu: 5e-3 })],
  ['CNN 12,610, CGE', cnn({ depth: 5 }), cge({ mu: 5e-3 })],
  ['CNN 12,610, sparse-CGE at 0.9', cnn({ depth: 5 }), cge({ mu: 5e-3, sparsity: 0.9 })],
  ['CNN 3,700, CGE from the layer', cnn({ depth: 2 }), cge({ mu: 5e-3, sparsity: 0.5, reuse: 'layer' })],
  ['CNN 3,700, RGE of 192', cnn({ depth: 2 }), rge({ mu: 5e-3, queries: 192 })],
  ['CNN 3,700, FG-W of 100', cnn({ depth: 2 }), forwardGradient({ queries: 100 })],
  ['CNN 3,700, pattern search of 100', cnn({ depth: 2 }), patternSearch({ radius: 0.1, queries: 100 })],
  ['ResNet-8 of width 4, sparse-CGE at 0.9', resnet({ depth: 8, width: 4 }), cge({ mu: 5e-3, sparsity: 0.9 })],
  ['ResNet-20, first order', resnet20(), firstOrder()],
  ['ResNet-20, sparse-CGE at 0.999', resnet20(), cge({ mu: 5e-3, sparsity: 0.999 })],
];

await script(async () => {
  const { values } = parseArgs({
    options: { 'batch-size': { type: 'string', default: '256' }, rounds: { type: 'string', default: '3' } },
  });
  const batchSize = integer(Number(values['batch-size']), '--batch-size', 1);
  const rounds = integer(Number(values.rounds), '--rounds', 1);
  const { train: images } = synthetic({ train: 2 * batchSize, test: 1 });
  const rows = [['run', 'estimated (s)', 'measured (s)', 'estimated / measured']];
  let far = 0;
  for (const [name, network, estimator] of RUNS) {
    using model = new Model(network, { seed: 0 });
    const estimated: number[] = [];
    const measured: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const run = train(model, images, { estimator, optimizer: sgd({ lr: 1e-3 }), batchSize, steps: 1 });
      estimated.push((await run.estimateCost()).secondsPerStep);
      for await (const { seconds } of run) measured.push(seconds);
    }
    const [said, took] = [median(estimated), median(measured)];
    if (Math.abs(said / took - 1) > TOLERANCE) far++;
    rows.push([name, said.toPrecision(3), took.toPrecision(3), (said / took).toFixed(2)]);
    console.log(rows.at(-1)!.join('  '));
  }
  console.log(`\n${table(rows)}`);
  if (far > 0) throw new Error(`${far} of ${RUNS.length} estimates are off by more than ${100 * TOLERANCE} %`);
});
