import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { processBox } from '../../lib/boxes/process.js';
import { TensorDataset } from '../../lib/data/dataset.js';
import { cge } from '../../lib/estimators/cge.js';
import { Model } from '../../lib/model/model.js';
import { rollout } from '../../lib/model/rollouts.js';
import type { Network } from '../../lib/network/description.js';
import { conv2d } from '../../lib/network/description.js';
import { sgd } from '../../lib/optimizers/optimizers.js';
import { minimize } from '../../lib/training/minimize.js';
import { train } from '../../lib/training/train.js';
import { root } from '../../scripts/run.js';
import { relativeError } from '../helpers/outputs.js';

const FOLDER = join(root, 'build/wake');
const [ACROSS, STEPS, REYNOLDS] = [32, 4, 400];
const CONFIG = `${ACROSS} velocity 0.5 0.25 1000`;

const network: Network = {
  name: 'correction',
  input: [3, 2 * ACROSS, ACROSS],
  layers: [conv2d({ name: 'c', channels: 2, kernel: 3, padding: 1, bias: false })],
};

/** A trajectory from the solver's own start: velocity 1 along the stream, and a poke sideways. */
function start(): Float32Array {
  const [rows, along, sideways] = [2 * ACROSS, (2 * ACROSS + 1) * ACROSS, 2 * ACROSS * (ACROSS + 1)];
  const item = new Float32Array(1 + 2 * (along + sideways) + 2);
  item[0] = REYNOLDS;
  item.fill(1, 1, 1 + along);
  for (let i = rows / 2 + 10; i < rows / 2 + 20; i++) {
    for (let j = ACROSS / 2 - 2; j < ACROSS / 2 + 2; j++) item[1 + along + i * (ACROSS + 1) + j] = 1;
  }
  return item;
}

describe('the wake', () => {
  before(() => {
    const quiet = { stdio: ['ignore', 'ignore', 'inherit'] as ['ignore', 'ignore', 'inherit'] };
    execFileSync('cmake', ['-S', join(root, 'experiments/wake'), '-B', FOLDER, '--log-level=WARNING'], quiet);
    execFileSync('cmake', ['--build', FOLDER], quiet);
  });

  it('has no divergence, pressures of second order and a vortex street', () => {
    execFileSync(join(FOLDER, 'wake_test'));
  });

  it('gives the same losses as a plug-in and as a process', async () => {
    const simulator = join(FOLDER, 'wake.so');
    using model = new Model(network, { loss: rollout({ simulator, config: CONFIG, steps: STEPS }), seed: 1 });
    const values = model.parameters.map((weight) => 0.1 * weight);
    model.parameters.set(values);
    const images = start();
    const targets = new Float32Array(STEPS * ((2 * ACROSS + 1) * ACROSS + 2 * ACROSS * (ACROSS + 1)));
    const data = new TensorDataset({ images, shape: [images.length, 1, 1], targets });
    const [estimator, optimizer] = [cge({ mu: 1e-4, central: true }), sgd({ lr: 1e-3 })];
    const losses: number[] = [];
    const run = train(model, data, { estimator, optimizer, steps: 2, batchSize: 1 });
    for await (const { loss } of run) losses.push(loss);

    const box = processBox(join(FOLDER, 'lines'), [CONFIG, String(STEPS), String(REYNOLDS)]);
    const asked: number[] = [];
    const budget = { steps: 2 };
    const onStep = ({ loss }: { loss: number }): unknown => asked.push(loss);
    const { x } = await minimize(box, [...values], { estimator, optimizer, budget, parallel: 2, onStep });
    const moved = (to: ArrayLike<number>): Float64Array => Float64Array.from(to, (value, i) => value - values[i]!);
    assert.ok(relativeError([losses[0]!], [asked[0]!]) < 1e-13);
    assert.ok(relativeError([losses[1]!], [asked[1]!]) < 1e-6);
    assert.ok(losses[1]! < losses[0]!, losses.join());

    assert.ok(relativeError(moved(model.parameters), moved(x)) < 1e-4);
  });
});
