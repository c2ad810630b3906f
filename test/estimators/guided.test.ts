import assert from 'node:assert/strict';
import { ars } from '../../lib/estimators/ars.js';
import { cge } from '../../lib/estimators/cge.js';
import type { Estimator } from '../../lib/estimators/estimator.js';
import type { Surrogate } from '../../lib/estimators/guided.js';
import { guided } from '../../lib/estimators/guided.js';
import { patternSearch } from '../../lib/estimators/pattern-search.js';
import { rge } from '../../lib/estimators/rge.js';
import { DISTRIBUTIONS } from '../../lib/model/options.js';
import { sgd } from '../../lib/optimizers/optimizers.js';
import { minimize } from '../../lib/training/minimize.js';
import { relativeError } from '../helpers/outputs.js';
import { assertClose, quadratic } from '../helpers/quadratic.js';
import { bits } from '../helpers/tiny.js';

const POSITION = { seed: 1, step: 3, epoch: 2 };
const surrogateOf = (gradient: Surrogate['gradient']): Surrogate => ({ name: 'told', gradient });

/** What estimators find on ½θᵀHθ when they are told a multiple of the gradient. */
async function told(estimator: Estimator, share: number): Promise<{ found: Float32Array; exact: Float64Array }> {
  const { model, batch, gradient } = quadratic();
  const surrogate = surrogateOf(() => gradient.map((value) => share * value));
  const { gradient: found } = await guided({ estimator, surrogate }).estimate(model, batch, POSITION);
  return { found: found as Float32Array, exact: gradient };
}

/** The gradient that an estimator finds of a function. */
async function gradientOf(
  loss: (x: Float64Array) => number,
  start: number[],
  estimator: Estimator,
): Promise<Float64Array> {
  const { x } = await minimize(loss, start, {
    ...{ estimator, optimizer: sgd({ lr: 1 }), budget: { steps: 1 } },
    ...{ mayFail: 0.9, retries: 0 },
  });
  return Float64Array.from(start, (value, i) => value - x[i]!);
}

describe('guided', () => {
  it('keeps what is queried and fills in what a mask leaves out', async () => {
    const estimator = cge({ mu: 1e-3, central: true, sparsity: 0.5 });
    const { model, batch } = quadratic();
    const asked = estimator.coordinates!(model, POSITION);
    const { gradient: masked } = await estimator.estimate(model, batch, POSITION);
    const { found, exact } = await told(estimator, 0.5);
    found.forEach((value, i) => {
      const expected = asked.includes(i) ? masked[i]! : 0.5 * exact[i]!;
      assert.ok(Math.abs(value - expected) < 1e-6, `${i}: ${value}, ${expected}`);
    });
    assert.deepEqual(guided({ estimator, surrogate: surrogateOf(() => []) }).coordinates!(model, POSITION), asked);
  });

  it('is exact along few directions where the surrogate is, and as good as RGE where it knows nothing', async () => {
    for (const distribution of DISTRIBUTIONS) {
      for (const perTensor of [false, true]) {
        const estimator = rge({ mu: 1e-3, queries: 2, central: true, distribution, perTensor, scale: 'unbiased' });
        const { found, exact } = await told(estimator, 1);
        assertClose(found, exact, 1e-4);
        const { model, batch } = quadratic();
        const { gradient } = await estimator.estimate(model, batch, POSITION);
        assert.equal(bits((await told(estimator, 0)).found), bits(gradient));
      }
    }
  });

  it('has an error in proportion to that of the surrogate', async () => {
    const errorOf = async (share: number): Promise<number> => {
      const { found, exact } = await told(rge({ mu: 1e-3, queries: 2, central: true }), share);
      return relativeError(found, exact);
    };
    const [alone, half, most] = [await errorOf(0), await errorOf(0.5), await errorOf(0.9)];
    assert.ok(alone > 0.3 && Math.abs(half / alone - 0.5) < 0.01 && Math.abs(most / alone - 0.1) < 0.01);
  });

  it('works on black boxes, and makes no query more', async () => {
    const loss = (x: Float64Array): number => x.reduce((sum, value, i) => sum + (value - i) ** 2, 0);
    const surrogate: Surrogate = surrogateOf(({ parameters }) =>
      Float64Array.from(parameters, (value, i) => 2 * (value - i)),
    );
    const estimator = rge({ mu: 1e-6, queries: 1, central: true });
    const run = { optimizer: sgd({ lr: 0.5 }), budget: { steps: 1 } };
    const { x, evaluations } = await minimize(loss, [5, 5, 5, 5], {
      ...run,
      estimator: guided({ estimator, surrogate }),
    });
    assert.ok(Math.hypot(...x.map((value, i) => value - i)) < 1e-5, x.join());
    assert.equal(evaluations, 1 + 2 + 1);
    assert.equal(
      guided({ estimator, surrogate })
        .sample(3)
        .queriesPerStep({} as never),
      3,
    );
  });

  it('leaves out of the surrogate the coordinates and directions whose queries fail', async () => {
    // The gradient is 2·x, and the surrogate's is half of it. A query that moves the first entry far up has no answer.
    const loss = (x: Float64Array): number => (x[0]! > 1.0005 ? NaN : x.reduce((sum, value) => sum + value ** 2, 0));
    const start = [1, 2, 3, 4];
    const halved = (estimator: Estimator): Promise<Float64Array> =>
      gradientOf(loss, start, guided({ estimator, surrogate: surrogateOf(() => start) }));
    assertClose(await halved(cge({ mu: 1e-3 })), [1, 4, 6, 8], 2e-3);
    // With as many directions as it takes, one of them missing: the same mean in both parts, so that the error is that of the rest alone.
    const estimator = rge({ mu: 1e-3, queries: 8 });
    const plain = await gradientOf(loss, start, estimator);
    const found = await halved(estimator);
    found.forEach((value, i) => {
      // ĝ = E[ℓ] + g̃ − E[⟨g̃, θ⟩], where E[⟨g̃, θ⟩] is half of E[ℓ] as μ → 0.
      assert.ok(Math.abs(value - (plain[i]! / 2 + start[i]!)) < 0.05, `${i}: ${value}, ${plain[i]}`);
    });
  });

  it('asks for the surrogate before it spends queries', async () => {
    let asked = 0;
    const surrogate = surrogateOf(() => [NaN]);
    const run = minimize(() => ++asked, [0], {
      estimator: guided({ estimator: cge({ mu: 1e-3 }), surrogate }),
      optimizer: sgd({ lr: 1 }),
      budget: { steps: 1 },
    });
    await assert.rejects(run, /the surrogate "told" at 0 to be finite/);
    assert.equal(asked, 0);
  });

  it('refuses what it cannot do', async () => {
    const surrogate = surrogateOf(() => [1]);
    const estimator = cge({ mu: 1e-3 });
    const refused: [unknown, RegExp][] = [
      [
        { estimator, surrogate: { gradient: () => [] } },
        /Expected surrogate\.name to be a non-empty string, received undefined/,
      ],
      [{ estimator, surrogate: {} }, /Expected surrogate to be an object with a name and a function gradient/],
      [{ estimator: 7, surrogate }, /Expected estimator to be an estimator, such as cge/],
      [
        { estimator: patternSearch({ radius: 1, queries: 1 }), surrogate },
        /yield a gradient, received one that yields a move/,
      ],
      [
        { estimator: ars({ mu: 0.1, directions: 4 }), surrogate },
        /linear in the loss, as cge and rge are, received ars/,
      ],
      [{ estimator, surrogate, trust: 1 }, /trust/],
    ];
    for (const [options, message] of refused) {
      assert.throws(
        () => guided(options as never),
        (error: Error) => {
          assert.equal(error.name, 'InvalidArgumentError');
          assert.match(error.message, message);
          return true;
        },
      );
    }
    const { model, batch } = quadratic();
    const estimate = (gradient: Surrogate['gradient']): Promise<unknown> =>
      guided({ estimator, surrogate: surrogateOf(gradient) }).estimate(model, batch, POSITION);
    await assert.rejects(
      estimate(() => [1]),
      /the gradient of the surrogate "told" to be 12 numbers, received/,
    );
    await assert.rejects(
      estimate(() => new Float64Array(12).fill(NaN, 3)),
      /the gradient of the surrogate "told" at 3 to be finite, received NaN/,
    );
  });
});
