import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import type { Wake } from '../../bench/support/wake.js';
import { ACROSS, buildWake, itemOf, startVelocities, VELOCITIES } from '../../bench/support/wake.js';
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
import { relativeError } from '../helpers/outputs.js';

const [STEPS, REYNOLDS] = [4, 400];
const CONFIG = `${ACROSS} velocity 0.5 0.25 1000 0`;

const network: Network = {
  name: 'correction',
  input: [3, 2 * ACROSS, ACROSS],
  layers: [conv2d({ name: 'c', channels: 2, kernel: 3, padding: 1, bias: false })],
};

describe('the wake', () => {
  let wake: Wake;
  before(() => {
    wake = buildWake();
  });

  it('needs cmake, and says so', () => {
    const path = process.env['PATH'];
    process.env['PATH'] = '';
    try {
      assert.throws(buildWake, /needs cmake >= 3\.20/);
    } finally {
      process.env['PATH'] = path;
    }
  });

  it('has no divergence, pressures of second order and a vortex street', () => {
    execFileSync(wake.test);
  });

  it('gives the same losses as a plug-in and as a process', async () => {
    const { simulator, lines } = wake;
    using model = new Model(network, { loss: rollout({ simulator, config: CONFIG, steps: STEPS }), seed: 1 });
    const values = model.parameters.map((weight) => 0.1 * weight);
    model.parameters.set(values);
    const images = itemOf(REYNOLDS, startVelocities());
    const targets = new Float32Array(STEPS * (VELOCITIES[0] + VELOCITIES[1]));
    const data = new TensorDataset({ images, shape: [images.length, 1, 1], targets });
    const [estimator, optimizer] = [cge({ mu: 1e-4, central: true }), sgd({ lr: 1e-3 })];
    const losses: number[] = [];
    const run = train(model, data, { estimator, optimizer, steps: 2, batchSize: 1 });
    for await (const { loss } of run) losses.push(loss);

    const box = processBox(lines, [CONFIG, String(STEPS), String(REYNOLDS)]);
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
