import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import Benchmark from 'benchmark';
import { chartOf, footnoteOf } from '../../bench/charts.js';
import { plotSvg } from '../../bench/support/plot.js';
import { benchmarkSampler } from '../../bench/support/sampler.js';
import { BENCHMARKS } from '../../bench/benchmarks.js';
import type { Benchmark as Result } from '../../bench/benchmarks.js';
import { kernelShapes } from '../../bench/kernels.js';
import { alternate, LEAST_ROUNDS, wallClock } from '../../bench/support/sampling.js';
import { scaledUp } from '../../bench/sweeps.js';
import { median, ratio, statistics } from '../../bench/support/statistics.js';
import { stratified } from '../../bench/support/stratified.js';
import { cnn, resnet20 } from '../../lib/index.js';
import { deepzero, fails, json, TINY } from '../helpers/command.js';
import { withFolder } from '../helpers/tiny.js';

const QUICK = ['--batch-size', '4', '--threads', '1', '--seconds', '0.01'];

/** Every number that a row should have is one, but those that may be unknown. */
function checkNumbers(row: Record<string, unknown>): void {
  for (const [key, value] of Object.entries(row)) {
    if (typeof value === 'object' && value !== null) checkNumbers(value as Record<string, unknown>);
    if (typeof value === 'number') assert.ok(Number.isFinite(value), `${key} is ${value}`);
  }
}

async function rowsOf(args: readonly string[]): Promise<Record<string, unknown>[]> {
  const result = await json(['bench', ...args]);
  assert.equal(result['benchmark'], args[0]);
  const machine = result['machine'] as Record<string, unknown>;
  assert.deepEqual(Object.keys(machine), ['version', 'isa', 'processor', 'cores', 'node', 'ranks']);
  const rows = result['rows'] as Record<string, unknown>[];
  rows.forEach(checkNumbers);
  return rows;
}

describe('bench', () => {
  describe('sampling', () => {
    it('has the statistics of the package benchmark', async () => {
      const benchmark = new Benchmark({ fn: () => Math.random(), minSamples: 6, maxTime: 0 });
      await new Promise((resolve) => {
        benchmark.on('complete', resolve);
        benchmark.run({ async: true });
      });
      const { mean, deviation, rme, sample } = benchmark.stats;
      const own = statistics(sample);
      const near = (a: number, b: number) => {
        assert.ok(Math.abs(a - b) <= 1e-12 * b, `${a} is not ${b}`);
      };
      near(own.mean, mean);
      near(own.deviation, deviation);
      near(own.rme, rme);
      assert.equal(own.samples, sample.length);
    });

    it('scales a part of a sweep up to the whole, never to less than was timed', () => {
      assert.deepEqual(scaledUp([3, 4], 2, 10), [12, 22]);
      assert.deepEqual(scaledUp([1.5, 3, 4], 2, 1), [1.5, 3, 4]);
      assert.deepEqual(scaledUp([1.5, 3, 4], 2, 10), [1.5, 12, 22]);
      assert.deepEqual(scaledUp([1.5, 1, 4], 2, 10), [15, 10, 40]);
    });

    it('knows a single timing, an even number of them, and ratios by round', () => {
      assert.deepEqual(statistics([3]), { mean: 3, median: 3, deviation: 0, rme: 0, samples: 1 });
      assert.equal(median([4, 1, 3, 2]), 2.5);
      assert.deepEqual(ratio([2, 6, 12], [1, 2, 3]), { median: 3, low: 3, high: 4 });
    });

    it('takes turns, and stops when told to', async () => {
      const order: string[] = [];
      const contender = (name: string) => ({ name, run: () => Promise.resolve(order.push(name)) });
      const contenders = [contender('a'), contender('b')];
      const timings = await alternate(contenders, { sampler: wallClock, seconds: 0 });
      assert.deepEqual(order, Array.from({ length: LEAST_ROUNDS }, () => ['a', 'b']).flat());
      assert.deepEqual(
        timings.map(({ length }) => length),
        [LEAST_ROUNDS, LEAST_ROUNDS],
      );
      const { signal } = { signal: AbortSignal.abort(new Error('enough')) };
      await assert.rejects(alternate(contenders, { sampler: wallClock, seconds: 0, signal }), /enough/);
    });

    it('takes the time that a contender measures itself', async () => {
      const contender = { name: 'a', run: () => Promise.reject(new Error('no')), sample: () => Promise.resolve(7) };
      const [timings] = await alternate([contender], { sampler: wallClock, seconds: 0 });
      assert.deepEqual(timings, new Array(LEAST_ROUNDS).fill(7));
    });

    it('can be left to the package benchmark, failures included', async () => {
      const pause = { name: 'pause', run: () => new Promise((resolve) => setTimeout(resolve, 60)) };
      assert.ok((await benchmarkSampler(pause)) > 0.05);
      const failing = { name: 'failing', run: () => Promise.reject(new Error('no')) };
      await assert.rejects(benchmarkSampler(failing), /^Error: no$/);
    });

    it('draws coordinates from every part in proportion', () => {
      const all = Uint32Array.from({ length: 1000 }, (_, i) => 2 * i);
      const drawn = stratified(all, 300, 1);
      assert.equal(new Set(drawn).size, 300);
      for (let part = 0; part < 10; part++) {
        const within = drawn.filter((value) => Math.floor(value / 200) === part).length;
        assert.ok(Math.abs(within - 30) <= 1, `${within} in part ${part}`);
      }
      assert.equal(stratified(all, 1000, 1), all);
    });
  });

  it('knows the shapes of the 3×3 convolutions, each once', () => {
    assert.equal(kernelShapes([cnn()]).length, 5);
    assert.deepEqual(
      kernelShapes([resnet20()]).map(({ channels, outputs, size, stride }) => [channels, outputs, size, stride]),
      [
        [3, 16, 32, 1],
        [16, 16, 32, 1],
        [16, 32, 32, 2],
        [32, 32, 16, 1],
        [32, 64, 16, 2],
        [64, 64, 8, 1],
      ],
    );
  });

  describe('the command', () => {
    it('has help for every benchmark', async () => {
      const outcomes = await Promise.all(BENCHMARKS.map((name) => deepzero(['bench', name, '--help'])));
      outcomes.forEach(({ code, stdout }, i) => {
        assert.equal(code, 0);
        assert.ok(stdout.startsWith(`Usage: npm run bench -- ${BENCHMARKS[i]!} `), stdout);
      });
      const { stdout } = await deepzero(['bench', '--help']);
      for (const name of BENCHMARKS) assert.match(stdout, new RegExp(`^  ${name} `, 'm'));
    });

    it('refuses bad options', async () => {
      const cases: [string, RegExp][] = [
        ['bench reuse --mode some', /Expected --mode to be one of none, block, layer, incremental, received "some"$/],
        ['bench reuse --mode none,', /Expected --mode to be one of .*, received ""$/],
        ['bench reuse --sparsity 0.5,1', /Expected --sparsity to be a number >= 0 and < 1, received 1$/],
        ['bench reuse --seconds 0', /Expected --seconds to be a finite number > 0, received 0$/],
        ['bench forward --mode none', /unknown option '--mode'/],
        ['bench kernels --depth 3', /--depth requires --network resnet or cnn$/],
        ['bench memory --memory 1KB --network cnn', /Expected --memory to be at least [\d.]+MB for 256 images/],
        ['bench forward --memory 1GB', /unknown option '--memory'/],
        ['bench memory --threads 0', /Expected --threads to be an integer from 1 to 1024, received 0$/],
      ];
      await Promise.all(cases.map(([args, message]) => fails(args.split(' '), 2, message)));
    });

    it('reuse: every mode, its counts as by hand', async () => {
      const args = ['reuse', '--network', 'cnn', '--depth', '1', ...QUICK];
      const rows = await rowsOf([...args, '--mode', 'none,layer', '--mode', 'incremental']);
      assert.deepEqual(
        rows.map(({ mode }) => mode),
        ['none', 'layer', 'incremental'],
      );
      // A 3×3 convolution of 3 to 18 channels on 32×32, and 18 to 10 classes: 486 weights, 18 biases, 36 of batch norm,
      // 180 weights and 10 biases.
      const [convolution, linear] = [18 * 3 * 9 * 1024, 180];
      // A weight's change, or a bias's, is one plane when its statistics are taken, and again when they are applied.
      const change = (486 + 18) * (2 * 1024 + 10) + 36 * 10 + 180;
      const layer = (whole: number): number => ((486 + 18) * (whole + linear) + (36 + 190) * linear) / 730;
      // As done, a whole convolution being Winograd's, and as if that were direct.
      const expected = {
        none: [convolution / 4 + linear, convolution + linear],
        layer: [layer(convolution / 4), layer(convolution)],
        incremental: [change / 730, change / 730],
      };
      for (const row of rows) {
        const [done, direct] = expected[row['mode'] as keyof typeof expected] as [number, number];
        assert.ok(Math.abs((row['multiplyAdds'] as number) - done) < 1e-9 * done);
        assert.ok(Math.abs((row['directMultiplyAdds'] as number) - direct) < 1e-9 * direct);
        const { network, parameters, batchSize, sparsity, threads, coordinates } = row;
        assert.deepEqual(
          { network, parameters, batchSize, sparsity, threads, coordinates },
          { network: 'cnn1', parameters: 730, batchSize: 4, sparsity: 0, threads: 1, coordinates: 730 },
        );
        for (const key of ['timedCoordinates', 'queriesPerSecond', 'countedBytes', 'peakFlops']) {
          assert.ok((row[key] as number) > 0, key);
        }
        for (const key of ['peakFraction', 'directPeakFraction']) assert.ok(key in row, key);
        const { mean, samples } = row['sweepSeconds'] as { mean: number; samples: number };
        assert.ok(mean > 0 && samples >= LEAST_ROUNDS);
      }
    });

    it('scaling, forward, kernels, memory, outputs and rollouts, and a file of the result', () =>
      withFolder(async (folder) => {
        const out = join(folder, 'results');
        const [scaling, forward, kernels, memory, outputs, rollouts] = await Promise.all([
          rowsOf(['scaling', ...TINY, ...QUICK, '--threads', '2', '--sparsity', '0.5', '--out', out]),
          rowsOf(['forward', ...TINY, ...QUICK]),
          rowsOf(['kernels', ...TINY, '--threads', '1', '--seconds', '0.01']),
          rowsOf('memory --network cnn --depth 1 --threads 2 --mode layer --memory 60MB'.split(' ')),
          rowsOf(['outputs', ...TINY, ...QUICK]),
          rowsOf('rollouts --trajectories 2 --steps 1 --threads 2 --seconds 0.01'.split(' ')),
        ]);
        assert.deepEqual(
          scaling.map(({ mode, threads, coordinates }) => [mode, threads, coordinates]),
          // Half of 54 + 20 weights, and 2 + 4 + 10 that are always queried.
          [1, 2].map((threads) => ['incremental', threads, 37 + 16]),
        );
        assert.equal(forward[0]?.['multiplyAdds'], 2 * 3 * 9 * 1024 + 20);
        assert.deepEqual(
          kernels.map(({ kernel }) => kernel),
          ['convolution', 'winograd', 'activate', 'activateChange', 'changeMoments'],
        );
        assert.deepEqual(
          outputs.map(({ loss, queries }) => [loss, queries === outputs[0]!['queries']]),
          ['built-in', 'trivial', 'in JavaScript'].map((loss) => [loss, true]),
        );
        assert.ok(outputs.every(({ queriesPerSecond }) => (queriesPerSecond as number) > 0));
        assert.equal(outputs[0]?.['ratio'], 1);
        assert.deepEqual(
          rollouts.map(({ how, threads, trajectories }) => [how, threads, trajectories]),
          [
            ['one query at a time', 1, 2],
            ['from JavaScript', 1, 2],
            ['side by side', 1, 2],
            ['side by side', 2, 2],
          ],
        );
        const { threads, peakBytes, idleBytes, countedBytes } = memory[0] as Record<string, number>;
        const taken = peakBytes! - idleBytes!;
        assert.equal(threads, 1);
        // What JavaScript itself takes meanwhile is some tens of megabytes at most.
        assert.ok(countedBytes! <= 6e7 && taken > 0.8 * countedBytes! && taken < countedBytes! + 5e7, `${taken}`);
        const written = JSON.parse(await readFile(join(out, 'scaling.json'), 'utf8')) as Result;
        assert.deepEqual(written.rows, scaling);
        const chart = await readFile(join(out, 'scaling.svg'), 'utf8');
        assert.equal(chart, plotSvg(chartOf(written), [footnoteOf(written)]));
        assert.match(chart, /^<svg [\s\S]*queries per second[\s\S]*<\/svg>\n$/);
        assert.doesNotMatch(chart, /NaN|undefined|Infinity/);
      }));
  });
});
