import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bestGain, LQR_PARAMETERS, lqrCost } from '../../bench/functions/lqr.js';
import { PROBLEMS } from '../../bench/functions/problems.js';
import type { RaceRow } from '../../bench/functions/race.js';
import { METHODS, quartiles } from '../../bench/functions/race.js';
import { normals } from '../../bench/support/random.js';
import { fails, json } from '../helpers/command.js';
import { withFolder } from '../helpers/tiny.js';

/** The cost of a gain by simulation, from the three unit vectors. */
function simulated(gain: ArrayLike<number>, steps: number): number {
  let cost = 0;
  for (let first = 0; first < 3; first++) {
    let x = [0, 1, 2].map((i) => Number(i === first));
    for (let step = 0; step < steps; step++) {
      const u = x.map((_, i) => x.reduce((sum, value, j) => sum + gain[3 * i + j]! * value, 0));
      cost += 1e-3 * x.reduce((sum, value) => sum + value ** 2, 0) + u.reduce((sum, value) => sum + value ** 2, 0);
      const [a, b, c] = x as [number, number, number];
      const drift = [1.01 * a + 0.01 * b, 0.01 * a + 1.01 * b + 0.01 * c, 0.01 * b + 1.01 * c];
      x = drift.map((value, i) => value + u[i]!);
    }
  }
  return cost / 3;
}

describe('the functions of the benchmark', () => {
  it('have the regulator’s cost of a simulation', () => {
    const gain = Float64Array.of(-0.3, 0.05, 0, 0.01, -0.2, 0.02, -0.03, 0, -0.4);
    assert.ok(Math.abs(lqrCost(gain) / simulated(gain, 500) - 1) < 1e-12);
    assert.equal(lqrCost(new Float64Array(LQR_PARAMETERS)), Infinity);
  });

  it('have the regulator’s least cost', () => {
    const best = bestGain();
    const least = lqrCost(best);
    assert.ok(Math.abs(least / simulated(best, 5000) - 1) < 1e-9);
    best.forEach((value, i) => {
      const [above, below] = [1e-3, -1e-3].map((step) => lqrCost(best.with(i, value + step)));
      assert.ok(above! > least && below! > least, `${i}`);
      // The slope is small beside the curvature.
      assert.ok(Math.abs(above! - below!) < 0.1 * (above! + below! - 2 * least), `${i}`);
    });
  });

  it('begin above the value to reach, which they have', () => {
    for (const { name, instance, value, dimension } of PROBLEMS) {
      for (let seed = 0; seed < 10; seed++) {
        const { start, target } = instance(seed);
        assert.equal(start.length, dimension);
        const first = value(Float64Array.from(start));
        assert.ok(first > target && first < Infinity, `${name}, ${seed}: ${first}`);
        assert.deepEqual(instance(seed), { start, target });
        assert.notDeepEqual(instance(seed + 1).start, start);
      }
    }
    const least = (name: string, x: number[]): number =>
      PROBLEMS.find((problem) => problem.name === name)!.value(Float64Array.from(x));
    for (const name of ['sphere', 'noisy']) assert.equal(least(name, new Array<number>(10).fill(0)), 0);
    assert.equal(least('rosenbrock10', new Array<number>(10).fill(1)), 0);
    assert.equal(least('rastrigin', [0, 0]), 0);
    // A local minimum of Rastrigin: higher on all sides.
    const { start, target } = PROBLEMS.find(({ name }) => name === 'rastrigin-local')!.instance(3);
    const at = start.map((value) => 0.9949586 * Math.round(value));
    assert.ok(Math.abs(least('rastrigin', at) - (target - 1e-3)) < 1e-3);
  });

  it('have standard normal noise', () => {
    const normal = normals(1);
    const sample = Array.from({ length: 10_000 }, () => normal());
    const moment = (power: number): number => sample.reduce((sum, value) => sum + value ** power, 0) / sample.length;
    // Standard deviations of 0.01, 0.014 and 0.098.
    assert.ok(Math.abs(moment(1)) < 0.05 && Math.abs(moment(2) - 1) < 0.07 && Math.abs(moment(4) - 3) < 0.5);
  });

  it('are summarised by quartiles, which runs over the budget count in', () => {
    assert.deepEqual(quartiles([4, 1, 3, 2, 5]), { low: 2, median: 3, high: 4 });
    assert.deepEqual(quartiles([1, 2, 3, Infinity]), { low: 1.75, median: 2.5, high: null });
    assert.deepEqual(quartiles([Infinity, Infinity, 1]), { low: null, median: null, high: null });
  });

  it('are minimised within their budgets, to the same counts again', () =>
    withFolder(async (folder) => {
      const args = ['bench', 'functions', '--functions', 'sphere,noisy,lqr', '--seed', '2'];
      const out = ['--out', folder];
      const [all, some] = await Promise.all([
        json([...args, '--methods', 'cge,rge', '--seeds', '2', ...out]),
        json([...args, '--methods', 'rge', '--seeds', '1']),
      ]);
      const rows = all['rows'] as RaceRow[];
      assert.deepEqual(
        rows.map(({ problem, method }) => [problem, method]),
        ['sphere', 'noisy', 'lqr'].flatMap((problem) => ['cge', 'rge'].map((method) => [problem, method])),
      );
      for (const { problem, method, reached, budget, evaluations, median } of rows) {
        assert.equal(reached, 2, `${problem}, ${method}`);
        for (const count of evaluations) assert.ok(count! > 50 && count! <= budget, `${problem}, ${method}: ${count}`);
        assert.equal(median, (evaluations[0]! + evaluations[1]!) / 2);
      }
      const again = (some['rows'] as RaceRow[]).map(({ evaluations }) => evaluations[0]);
      assert.deepEqual(
        again,
        rows.filter(({ method }) => method === 'rge').map(({ evaluations }) => evaluations[0]),
      );
      const written = JSON.parse(await readFile(join(folder, 'functions.json'), 'utf8')) as Record<string, unknown>;
      assert.deepEqual(written['rows'], rows);
      assert.match(await readFile(join(folder, 'functions.svg'), 'utf8'), /lqr/);
    }));

  it('have the published counts', async () => {
    const text = await readFile('docs/results/functions/functions.json', 'utf8');
    const { rows } = JSON.parse(text) as { rows: RaceRow[] };
    const page = await readFile('docs/black-box-results.md', 'utf8');
    const lines = page.split('\n').filter((line) => /^\| (?!function|---)/.test(line));
    assert.equal(lines.length, PROBLEMS.length);
    const count = (value: number | null): string =>
      value === null ? 'over' : Math.round(value).toLocaleString('en-US');
    for (const [i, { name, budget, dimension }] of PROBLEMS.entries()) {
      const [, , numbers, , most, ...cells] = lines[i]!.split('|').map((cell) => cell.trim());
      assert.deepEqual([numbers, most], [String(dimension), count(budget)], name);
      for (const [at, { name: method }] of METHODS.entries()) {
        const { low, median, high, reached, evaluations } = rows.find(
          (row) => row.problem === name && row.method === method,
        )!;
        assert.deepEqual({ low, median, high }, quartiles(evaluations.map((value) => value ?? Infinity)));
        const spread = low === null ? 'over' : `${count(low)} **${count(median)}** ${count(high)}`;
        const few = reached === 0 ? '0 of 10' : `${spread}; ${reached} of 10`;
        assert.equal(cells[at], reached === 10 ? spread : few, `${name}, ${method}`);
      }
    }
  });

  it('are known by name', () =>
    fails(
      ['bench', 'functions', '--methods', 'sgd'],
      2,
      /Expected --methods to be one of cge, rge, ars, pattern-search/,
    ));
});
