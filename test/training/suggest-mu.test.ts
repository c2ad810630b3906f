import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Box } from '../../lib/boxes/box.js';
import { cge } from '../../lib/estimators/cge.js';
import { rge } from '../../lib/estimators/rge.js';
import { Random } from '../../lib/native/random.js';
import type { Query } from '../../lib/objectives/query.js';
import { sgd } from '../../lib/optimizers/optimizers.js';
import { minimize } from '../../lib/training/minimize.js';
import type { MuSuggestion } from '../../lib/training/suggest-mu.js';
import { suggestMu } from '../../lib/training/suggest-mu.js';
import { withFolder } from '../helpers/tiny.js';

const START = Array.from({ length: 10 }, (_, i) => Math.sin(1 + i));
/** Second derivative 2 along every unit vector. */
const bowl = (x: ArrayLike<number>): number => Array.from(x).reduce((sum, value) => sum + value ** 2, 3);
const rosenbrock = (x: Float64Array): number =>
  x.reduce((sum, value, i) => (i === 0 ? sum : sum + 100 * (value - x[i - 1]! ** 2) ** 2 + (1 - x[i - 1]!) ** 2), 0);
/** e to the sum over √d: along the unit vector u, all derivatives are powers of Σu/√d. */
const steep = (x: Float64Array): number => Math.exp(x.reduce((sum, value) => sum + value, 0) / Math.sqrt(x.length));

const noisy = (f: (x: Float64Array) => number, sigma: number, seed: number): ((x: Float64Array) => number) => {
  const random = new Random(seed, 'samples');
  return (x) => f(x) + sigma * random.normal();
};
/** The distance of floating-point numbers with so many bits, of the size of a value. */
const ulp = (value: number, bits: number): number => 2 ** (Math.floor(Math.log2(Math.abs(value))) - bits);

function assertWithin(actual: number, expected: number, factor: number, what = ''): void {
  assert.ok(actual >= expected / factor && actual <= expected * factor, `${what} ${actual} is not about ${expected}`);
}

/** μ follows from what was found. */
function assertOptimal({ mu, noise, curvature }: MuSuggestion, central = false): void {
  const best = central ? Math.cbrt((3 * noise) / curvature) : (8 * (noise / curvature) ** 2) ** (1 / 4);
  assertWithin(mu, best, 1 + 1e-12);
}

describe('suggestMu', () => {
  it('finds noise of every size, and the second derivative', async () => {
    for (const sigma of [1e-9, 1e-6, 1e-3, 1e-2]) {
      for (let seed = 0; seed < 25; seed++) {
        const found = await suggestMu(noisy(bowl, sigma, seed), START, { seed });
        // Nine normal numbers: 0.998 of all estimates are within these factors.
        assertWithin(found.noise, sigma, 4, `${sigma}, ${seed}:`);
        // The difference that it is measured by is at least 100 of what was taken for σ, up to four times too small.
        assertWithin(found.curvature, 2, 1.5, `${sigma}, ${seed}:`);
        assertOptimal(found);
        assert.ok(found.evaluations <= 30, `${found.evaluations}`);
        assert.match(found.message, /^The loss changes when it is asked for again, by a noise of /);
      }
    }
  });

  it('suggests a μ whose differences have less error than others', async () => {
    const sigma = 1e-3;
    for (const central of [false, true]) {
      const { mu } = await suggestMu(noisy(steep, sigma, 1), START, { central });
      const f = noisy(steep, sigma, 2);
      const at = Float64Array.from(START);
      const moved = (i: number, step: number): Float64Array => at.with(i, at[i]! + step);
      const slope = steep(at) / Math.sqrt(at.length);
      const error = (step: number): number => {
        let squares = 0;
        for (let i = 0; i < 1000; i++) {
          const coordinate = i % at.length;
          const up = f(moved(coordinate, step));
          const difference = central ? (up - f(moved(coordinate, -step))) / 2 : up - f(at);
          squares += (difference / step - slope) ** 2;
        }
        return squares;
      };
      for (const factor of [0.1, 10]) assert.ok(error(mu) < error(mu * factor), `${central}, ${factor}`);
    }
  });

  it('finds the third derivative for central differences', async () => {
    for (const sigma of [1e-8, 1e-5]) {
      for (let seed = 0; seed < 10; seed++) {
        const sums: number[] = [];
        const f = noisy((x) => (sums.push(x.reduce((sum, value) => sum + value, 0)), steep(x)), sigma, seed);
        const found = await suggestMu(f, START, { central: true, seed });
        assertWithin(found.noise, sigma, 4);
        // Σu from the first two points asked, which are x0 and x0 − 4·h·u with h = 1e-5.
        const along = (sums[0]! - sums[1]!) / 4e-5 / Math.sqrt(START.length);
        const exact = steep(Float64Array.from(START)) * Math.abs(along) ** 3;
        if (/The noise hides/.test(found.message)) assert.ok(found.curvature > exact / 4);
        else assertWithin(found.curvature, exact, 2, `${sigma}, ${seed}:`);
        assertOptimal(found, true);
      }
    }
  });

  it('finds the rounding of double precision', async () => {
    for (const f of [bowl, rosenbrock, steep]) {
      const loss = f(Float64Array.from(START));
      const { noise, mu, message } = await suggestMu(f, START);
      // At least that of the result alone, at most some of every operation.
      assert.ok(noise >= ulp(loss, 52) / Math.sqrt(12) && noise <= 30 * ulp(loss, 52), `${noise} of ${loss}`);
      assert.ok(mu > 1e-9 && mu < 1e-6, `${mu}`);
      assert.match(
        message,
        /, as much as rounding in double precision makes; it is the same when it is asked for again\./,
      );
    }
  });

  it('finds the rounding of single precision', async () => {
    for (const f of [bowl, rosenbrock, steep]) {
      const loss = f(Float64Array.from(START));
      const { noise, message } = await suggestMu((x) => Math.fround(f(x)), START);
      assertWithin(noise, ulp(loss, 23) / Math.sqrt(12), 4);
      assert.match(
        message,
        /, as much as rounding in single precision makes; it is the same when it is asked for again\./,
      );
    }
  });

  it('says where a derivative cannot be seen, and where nothing changes', async () => {
    const linear = await suggestMu((x) => 5 + 3 * x[0]! - x[1]!, [1, 2]);
    assertWithin(linear.mu, 1, 2);
    assert.match(
      linear.message,
      /The noise hides its second derivative .* (mu = 1 is as far as |error is least at mu = 0\.\d+ or above)/,
    );
    const quadratic = await suggestMu(bowl, START, { central: true });
    assert.ok(quadratic.mu > 0.1, `${quadratic.mu}`);
    assert.match(
      quadratic.message,
      /The noise hides its third derivative .* the error is least at mu = 0\.\d+ or above\.$/,
    );
    for (const value of [0, 7]) {
      const { mu, curvature, message } = await suggestMu(() => value, [1, 2], { reach: 0.5 });
      assertWithin(mu, 0.5, 1 + 1e-12);
      assert.equal(curvature, 0);
      assert.match(
        message,
        new RegExp(`^The loss is ${value}, and does not change within 0\\.5 of x0, or in few places only\\. `),
      );
    }
    // Noise of 1, a function that changes by 1e10 from point to point, and only one table's evaluations.
    const wild = await suggestMu(
      noisy((x) => Math.exp(1e6 * x[0]!), 1, 1),
      [0],
      { evaluations: 9 },
    );
    assert.match(wild.message, /^The noise could not be told for sure from the loss's own changes; /);
    assert.match(wild.message, /The evaluations did not suffice to measure its second derivative/);
    assert.ok(wild.mu > 0 && Number.isFinite(wild.mu));
    // With more, the points come close enough.
    assertWithin(
      (
        await suggestMu(
          noisy((x) => Math.exp(1e6 * x[0]!), 1, 1),
          [0],
        )
      ).noise,
      1,
      4,
    );
  });

  it('suggests multiples of the directions of rge', async () => {
    const found = async (options: object): Promise<number> =>
      (await suggestMu(noisy(bowl, 1e-4, 3), START, options)).mu;
    const unit = await found({});
    // Twice a factor of 2, what the noise leaves uncertain; directions have a length of about √10.
    for (const distribution of ['gaussian', 'rademacher']) {
      assertWithin(await found({ distribution }), unit / Math.sqrt(10), 4, distribution);
    }
    const { mu } = await suggestMu(noisy(bowl, 1e-4, 3), { a: START, b: START }, { perTensor: true });
    assertWithin(mu, unit / Math.sqrt(2), 4);
  });

  it('is a μ for minimize', async () => {
    const { mu } = await suggestMu(bowl, START);
    const options = { optimizer: sgd({ lr: 0.3 }), budget: { steps: 30 } };
    const { loss } = await minimize(bowl, START, { estimator: cge({ mu }), ...options });
    assert.ok(loss - 3 < 1e-12, `${loss}`);
    const { mu: along } = await suggestMu(bowl, START, { distribution: 'gaussian' });
    const estimator = rge({ mu: along, queries: 40 });
    assert.ok((await minimize(bowl, START, { estimator, ...options })).loss < 3.1);
  });

  it('depends on the seed alone, and asks no more than it may', async () => {
    for (const evaluations of [9, 10, 11, 12, 20, 60]) {
      let calls = 0;
      const run = (seed: number): Promise<MuSuggestion> =>
        suggestMu((x) => (calls++, rosenbrock(x)), START, { evaluations, seed, central: true });
      const first = await run(1);
      assert.ok(calls <= evaluations, `${calls}`);
      assert.equal(first.evaluations, calls);
      assert.deepEqual(await run(1), first);
      assert.notEqual((await run(2)).noise, first.noise);
    }
  });

  it('stays within bounds and reach', async () => {
    const bounds = [0, START.map((_, i) => (i === 3 ? 1e-3 : 2))] as const;
    const start = START.map((_, i) => (i === 3 ? 1e-3 : i % 2));
    const asked: Float64Array[] = [];
    const { mu } = await suggestMu((x) => (asked.push(x), Math.fround(bowl(x))), start, { bounds, central: true });
    for (const point of asked) {
      point.forEach((value, i) => {
        assert.ok(value >= 0 && value <= (i === 3 ? 1e-3 : 2), `${i}: ${value}`);
      });
    }
    assert.ok(mu > 0);
    const far: number[] = [];
    await suggestMu((x) => (far.push(Math.hypot(...x.map((value, i) => value - START[i]!))), 1), START, {
      reach: 0.25,
    });
    assertWithin(Math.max(...far), 0.25, 1 + 1e-9);
  });

  it('asks boxes, in batches, repeatedly, and again after failures', async () => {
    const random = new Random(5, 'samples');
    const batches: number[] = [];
    const samples = new Set<unknown>();
    const steps = new Set<number>();
    let [calls, closed] = [0, 0];
    const box: Box = {
      batch: 5,
      answer: (queries: readonly Query[]) => {
        batches.push(queries.length);
        for (const { sample, step } of queries) {
          samples.add(sample);
          steps.add(step);
        }
        return Promise.resolve(
          queries.map((query) => (++calls % 7 === 0 ? { failed: 'no' } : bowl(query.point()) + 0.01 * random.normal())),
        );
      },
      close: () => {
        closed++;
      },
    };
    const { noise, evaluations } = await suggestMu(box, START, { repeats: 4, sample: 'batch 3' });
    // Of a mean of four.
    assertWithin(noise, 0.005, 4);
    assert.equal(evaluations, calls);
    assert.equal(Math.max(...batches), 5);
    assert.deepEqual([[...samples], [...steps].slice(0, 2), closed], [['batch 3'], [0, 1], 1]);
  });

  it('goes less far where there is no loss', async () => {
    const start = [0.5, 0.5];
    const fragile = noisy((x) => (Math.hypot(x[0]! - 0.5, x[1]! - 0.5) > 0.03 ? NaN : bowl(x)), 1e-4, 1);
    const { curvature, message } = await suggestMu(fragile, start, { retries: 0 });
    assertWithin(curvature, 2, 3, message);
    await assert.rejects(
      suggestMu((x) => (x[0]! > 0.5 - 1e-5 && x[0]! <= 0.5 ? 1 : NaN), start, { retries: 0 }),
      { name: 'RefusedStepError', message: '7 of 9 points next to x0 have no loss' },
    );
    await assert.rejects(
      suggestMu(() => NaN, start),
      { name: 'RefusedStepError', message: 'There is no loss at the unperturbed point, query 0.b: the loss is NaN' },
    );
    let calls = 0;
    await assert.rejects(
      suggestMu((x) => (++calls % 2 === 0 ? bowl(x) : NaN), start, { evaluations: 9 }),
      { name: 'RefusedStepError', message: 'The evaluations were used up before nine losses were known' },
    );
  });

  it('asks again only for what its journal misses', () =>
    withFolder(async (folder) => {
      const journal = join(folder, 'mu.jsonl');
      let calls = 0;
      const random = new Random(1, 'samples');
      const f = (x: Float64Array): number => (calls++, bowl(x) + 1e-3 * random.normal());
      const first = await suggestMu(f, START, { journal });
      const lines = (await readFile(journal, 'utf8')).trimEnd().split('\n');
      assert.equal(lines.length, 1 + calls);
      calls = 0;
      assert.deepEqual(await suggestMu(f, START, { journal }), first);
      assert.equal(calls, 0);
      await writeFile(journal, `${lines.slice(0, 6).join('\n')}\n`);
      const { evaluations } = await suggestMu(f, START, { journal });
      assert.equal(calls, evaluations - 5);
      await assert.rejects(suggestMu(f, START, { journal, central: true }), /expected central to be false/);
    }));

  it('ends when it is aborted', async () => {
    const controller = new AbortController();
    let calls = 0;
    const f = (): number => {
      if (++calls === 4) controller.abort(new Error('enough'));
      return 1;
    };
    await assert.rejects(suggestMu(f, START, { signal: controller.signal }), /^Error: enough$/);
    assert.equal(calls, 4);
  });

  it('refuses what it cannot do', async () => {
    const cases: [object, RegExp][] = [
      [{ reach: 0 }, /^Expected reach to be a finite number > 0, received 0$/],
      [{ evaluations: 8 }, /^Expected evaluations to be an integer >= 9, received 8$/],
      [{ evaluations: 30, repeats: 4 }, /^Expected evaluations to be at least 36, 9 times repeats, received 30$/],
      [
        { distribution: 'normal' },
        /^Expected distribution to be one of gaussian, sphere, rademacher, received "normal"$/,
      ],
      [{ bounds: [5, 6] }, /^Expected x0\[0\] to be from 5 to 6, its bounds/],
      [{ resolution: 1 }, /^Unknown option "resolution" in suggestMu/],
    ];
    for (const [options, message] of cases) {
      await assert.rejects(suggestMu(bowl, START, options), { name: 'InvalidArgumentError', message });
    }
    await assert.rejects(
      suggestMu(3 as never, START),
      /^InvalidArgumentError: Expected the loss to be a function or a box/,
    );
  });
});
