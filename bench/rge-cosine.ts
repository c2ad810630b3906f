/**
 * The cosine with the gradient by back-propagation, over all parameters and over each tensor, of RGE by equation (1), of its
 * limit as μ → 0, and of RGE with each tensor's part of a direction scaled to unit length: the same directions, as many as
 * parameters. The small CNN with its initial weights, or with those in a model file; the first 256 images.
 *
 *     npx tsx bench/rge-cosine.ts [--data DIR] [--depth 2 | --weights FILE]
 */
import { parseArgs } from 'node:util';

import { cifar10, cnn, cosineSimilarity, forwardGradient, Model, paper, rge, synthetic } from 'deepzero';

import { script } from '../scripts/run.js';
import { firstBatch } from './support/networks.js';
import { integer, number } from './support/options.js';
import { table } from './support/output.js';

const MU = paper.MU;

await script(async () => {
  const { values } = parseArgs({
    options: { data: { type: 'string' }, depth: { type: 'string', default: '2' }, weights: { type: 'string' } },
  });
  const { train } = values.data === undefined ? synthetic() : await cifar10(values.data);
  const batch = firstBatch(train, 256);
  const initial = (): Model =>
    new Model(cnn({ depth: number('', integer(1), 2).parse(values.depth, '--depth') }), { seed: 0 });
  using model = values.weights === undefined ? initial() : await Model.load(values.weights);
  const { values: truth } = await model.gradient(batch, { precision: 'double' });
  const queries = model.parameterCount;
  const estimators = {
    [`equation (1), μ = ${MU}`]: rge({ mu: MU, queries }),
    'μ → 0': forwardGradient({ queries }),
    'per tensor': rge({ mu: MU, queries, perTensor: true }),
  };
  const estimates: Float64Array[] = [];
  for (const estimator of Object.values(estimators)) {
    const { gradient } = await estimator.estimate(model, batch, { seed: 0, step: 0, epoch: 0 });
    estimates.push(Float64Array.from(gradient));
  }
  const cosines = (from: number, to: number): string[] =>
    estimates.map((estimate) => cosineSimilarity(estimate.subarray(from, to), truth.subarray(from, to)).toFixed(4));
  const { parameters } = model.compiled;
  const rows = parameters.map(({ name, offset, size }) => [name, ...cosines(offset, offset + size)]);
  console.log(table([['tensor', ...Object.keys(estimators)], ['all', ...cosines(0, truth.length)], ...rows]));
});
