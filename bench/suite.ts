/**
 * The benchmark suite: every benchmark, or those that are named, timed by the npm package `benchmark`. Prints tables and
 * writes results as JSON and charts as SVG.
 *
 *     npm run bench [-- reuse|forward|kernels|scaling|memory …] [--seconds 3] [--threads N] [--batch-size 256]
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { BENCHMARKS, runBenchmark } from './benchmarks.js';
import { benchTable } from './tables.js';
import { integer, oneOf, positive } from '../lib/support/check.js';
import { Output } from '../lib/cli/output.js';
import { defaultThreads } from '../lib/native/cores.js';
import { script } from '../scripts/run.js';
import { svg } from './chart.js';
import { chartOf } from './charts.js';
import { benchmarkSampler } from './sampler.js';

const folder = join(import.meta.dirname, 'results');

await script(async () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      seconds: { type: 'string', default: '3' },
      threads: { type: 'string', default: String(defaultThreads()) },
      'batch-size': { type: 'string', default: '256' },
    },
  });
  const names = positionals.map((name) => oneOf(name, 'the benchmark', BENCHMARKS));
  const seconds = positive(Number(values.seconds), '--seconds');
  const threads = integer(Number(values.threads), '--threads', 1);
  const batchSize = integer(Number(values['batch-size']), '--batch-size', 1);
  const output = new Output(false);
  await mkdir(folder, { recursive: true });
  for (const name of names.length > 0 ? names : BENCHMARKS) {
    const onStatus = (text: string): void => {
      output.status(`${name}: ${text}`);
    };
    const result = await runBenchmark(name, { threads, batchSize }, { sampler: benchmarkSampler, seconds, onStatus });
    output.line(`\n${benchTable(result)}\n`);
    await writeFile(join(folder, `${name}.json`), `${JSON.stringify(result, undefined, 2)}\n`);
    await writeFile(join(folder, `${name}.svg`), svg(chartOf(result)));
    output.line(`written to ${join(folder, name)}.json and .svg`);
  }
});
