import assert from 'node:assert/strict';
import type { LossContext } from '../../lib/boxes/box.js';
import { cge } from '../../lib/estimators/cge.js';
import { rge } from '../../lib/estimators/rge.js';
import { Space } from '../../lib/objectives/space.js';
import { sgd } from '../../lib/optimizers/optimizers.js';
import type { MinimizeStep } from '../../lib/training/search-options.js';
import { minimize } from '../../lib/training/minimize.js';

const bowl = (x: ArrayLike<number>): number =>
  Array.from(x).reduce((sum, value, i) => sum + (i + 1) * (value - 1) ** 2, 0);

describe('differences of a black box', () => {
  const options = { optimizer: sgd({ lr: 1e-3 }), budget: { steps: 2 } };

  it('go forward wherever there is room, however the sum is rounded', async () => {
    const start = Array.from({ length: 100 }, (_, i) => Math.sin(1 + i));
    const sides = async (more: object): Promise<string[]> => {
      const ids: string[] = [];
      const loss = (x: Float64Array, { id }: LossContext): number => (ids.push(id), bowl(x));
      await minimize(loss, start, { ...options, estimator: cge({ mu: 1e-4 }), ...more });
      return ids.filter((id) => id.endsWith('-'));
    };
    assert.deepEqual(await sides({}), []);
    // Fifteen entries are nearer to the upper bound than that.
    const high = start.map((value) => value + (value > 0.9 ? 5e-5 : 1));
    const near = start.flatMap((value, i) => (value > 0.9 ? [`0.c${i}-`] : []));
    assert.ok(near.length > 5);
    assert.deepEqual(await sides({ bounds: [-2, high], budget: { steps: 1 } }), near);
  });

  it('along directions have the ratio of signal to noise that their losses have, by either scale', async () => {
    const start = [3, -1, 0.5];
    for (const distribution of ['gaussian', 'sphere'] as const) {
      for (const scale of ['paper', 'unbiased'] as const) {
        let calls = 0;
        const points = new Map<string, number>();
        // Antithetic noise: two repeats cancel it, and the variance of their mean is 0.01.
        const noisy = (x: Float64Array, { id }: LossContext): number => {
          points.set(id, bowl(x));
          return bowl(x) + (++calls % 2 === 0 ? 0.1 : -0.1);
        };
        const steps: MinimizeStep[] = [];
        const estimator = rge({ mu: 0.3, queries: 1, distribution, scale });
        await minimize(noisy, start, { ...options, estimator, repeats: 2, onStep: (step) => steps.push(step) });
        // Of one direction, the entries of estimate and error are in one ratio: a difference's to its standard error.
        const difference = points.get('0.d0+.0')! - points.get('0.b.0')!;
        const ratio = steps[0]!.signalToNoise!['x']!;
        assert.ok(Math.abs(ratio - Math.abs(difference) / Math.sqrt(0.02)) < 1e-9, `${distribution} ${scale} ${ratio}`);
      }
    }
  });

  it('refuse more directions than can be told apart', async () => {
    const estimator = rge({ mu: 1, queries: 2 ** 19 + 1 });
    await assert.rejects(minimize(bowl, [1], { ...options, estimator }), {
      name: 'InvalidArgumentError',
      option: 'queries',
      message: 'Expected queries to be at most 524288, received 524289',
    });
  });
});

describe('multiples of a resolution', () => {
  it('reach bounds that are multiples but for rounding', () => {
    const space = new Space(2, [[-0.3, 0.3], [0.3, 0.7]], 0.1); // prettier-ignore
    assert.deepEqual(
      [space.round(0, 0.3), space.round(0, 5), space.round(0, -5), space.round(0, 0.16), space.round(1, 0)],
      [0.3, 0.3, -0.3, 0.2, 3 * 0.1],
    );
    // 3·0.1 is above 0.3, the only multiple within.
    assert.equal(new Space(1, [0.25, 0.3], 0.1).round(0, 0.25), 0.3);
  });

  it('stay within bounds that are none', () => {
    const space = new Space(1, [-0.26, 0.74], 0.25);
    assert.deepEqual([space.round(0, 5), space.round(0, -5), space.round(0, 0.6)], [0.5, -0.25, 0.5]);
    assert.throws(() => new Space(1, [0.3, 0.4], 0.25), { option: 'resolution' });
  });
});
