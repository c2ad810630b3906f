/**
 * Timings by the npm package `benchmark`: it calls a contender often enough that the clock's resolution does not matter, and
 * takes the mean of those calls.
 *
 * @module
 */
import Benchmark from 'benchmark';
import type { Sampler } from './sampling.js';

interface Deferred {
  resolve(): void;
}

/** One sample of the package, so that contenders can take turns. */
export const benchmarkSampler: Sampler = ({ name, run }) =>
  new Promise((resolve, reject) => {
    const fn = (deferred: Deferred): void => {
      run().then(() => {
        deferred.resolve();
      }, reject);
    };
    const benchmark = new Benchmark(name, { fn, defer: true, minSamples: 1, maxTime: 0 });
    benchmark.on('complete', () => {
      const { mean } = benchmark.stats;
      if (mean > 0) resolve(mean);
      else reject(new Error(`${name} could not be timed`));
    });
    benchmark.run({ async: true });
  });
