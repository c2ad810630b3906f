/**
 * RGE's cosine with the gradient by back-propagation, in all and in each tensor: by equation (1), and with each tensor's part
 * of a direction scaled to unit length. Initial weights of the small CNN, the first 256 images, as many directions as
 * parameters.
 *
 *     npx tsx bench/rge-cosine.ts [--data DIR] [--depth 2]
 */
import { parseArgs } from 'node:util';

import { integer } from '../lib/check.js';
import { table } from '../lib/cli/output.js';
import { cosineOf } from '../lib/gradcheck.js';
import { cifar10, cnn, compile, Model, rge, synthetic } from '../lib/index.js';
import { script } from '../scripts/run.js';

await script(async () => {
  const { values } = parseArgs({ options: { data: { type: 'string' }, depth: { type: 'string', default: '2' } } });
  const { train } = values.data === undefined ? synthetic() : await cifar10(values.data);
  const batch = train.batch(Uint32Array.from({ length: 256 }, (_, i) => i));
  const network = cnn({ depth: integer(Number(values.depth), '--depth', 1) });
  using model = new Model(network, { seed: 0 });
  const { values: truth } = await model.gradient(batch, { precision: 'double' });
  const estimates: Float64Array[] = [];
  for (const perTensor of [false, true]) {
    const estimator = rge({ mu: 5e-3, queries: model.parameterCount, perTensor });
    const { gradient } = await estimator.estimate(model, batch, { seed: 0, step: 0, epoch: 0 });
    estimates.push(Float64Array.from(gradient));
  }
  const cosines = (from: number, to: number): string[] =>
    estimates.map((estimate) => cosineOf(estimate.subarray(from, to), truth.subarray(from, to)).toFixed(3));
  const rows = compile(network).parameters.map(({ name, offset, size }) => [name, ...cosines(offset, offset + size)]);
  console.log(table([['tensor', 'equation (1)', 'per tensor'], ['all', ...cosines(0, truth.length)], ...rows]));
});
