/**
 * Benchmarks: `npm run bench -- reuse --network cnn`; without a name, all of them.
 *
 * @module
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { defaultThreads, paper, REUSES, writeFileAtomically } from 'deepzero';

import type { Benchmark, BenchmarkName, BenchmarkOptions } from './benchmarks.js';
import { BENCHMARKS, runBenchmark } from './benchmarks.js';
import { chartOf, footnoteOf } from './charts.js';
import { METHODS } from './functions/race.js';
import { PROBLEMS } from './functions/problems.js';
import { benchmarkSampler } from './support/sampler.js';
import { MOST_IMAGES, networkOf, networkOptions } from './support/networks.js';
import type { Options, Values } from './support/options.js';
import { choice, fraction, integer, list, number, positive, size, text } from './support/options.js';
import { plotSvg } from './support/plot.js';
import type { TaskContext } from './support/program.js';
import { run, task } from './support/program.js';
import { benchTable } from './tables.js';

const NOTES =
  'Contenders take turns, so that ratios survive a noisy machine; the peak of multiply-adds is measured in the same run. ' +
  'Multiply-adds are those of convolutions and linear layers, counted. Images are generated, batch norm is in training mode.';
const SAMPLED =
  ' A sweep that takes too long is timed on a stratified sample of its coordinates, and the output says so.';

const shared = {
  ...networkOptions,
  threads: number('threads; results do not depend on it', integer(1, 1024), defaultThreads()),
  seconds: number('measuring time of each contender, about', positive, 3),
  out: text('DIR', 'folder for NAME.json and NAME.svg', undefined),
};
const batchSize = number('images', integer(1, MOST_IMAGES), paper.BATCH_SIZE);
const seed = number('fixes every random choice', integer(0), 0);
const mu = number('smoothing parameter', positive, paper.MU);
const reuse = (standard: string) =>
  list(choice(`how much of the unperturbed pass a query reuses (default: ${standard})`, REUSES, undefined), undefined);
const sparsity = list(
  number('fractions of the weights that a sweep leaves out (default: 0, and for ResNet-20 0.9 and 0.99)', fraction, 0),
  undefined,
);
const cge = { batchSize, mode: reuse('all'), sparsity, mu, seed };

type BenchValues = Values<typeof shared> & Omit<BenchmarkOptions, 'networks'>;

async function bench(
  name: BenchmarkName,
  { network, depth, width, seconds, out, ...values }: BenchValues,
  { output, signal }: Pick<TaskContext<Options>, 'output' | 'signal'>,
): Promise<Benchmark> {
  const chosen = networkOf({ network, depth, width });
  const options = { ...values, networks: chosen && [chosen] };
  if (out !== undefined) await mkdir(out, { recursive: true });
  const onStatus = (status: string): void => {
    output.status(`${name}: ${status}`);
  };
  const result = await runBenchmark(name, options, { sampler: benchmarkSampler, seconds, signal, onStatus });
  output.line(benchTable(result));
  if (out !== undefined) {
    const stem = join(out, name);
    await writeFileAtomically(`${stem}.json`, `${JSON.stringify(result, undefined, 2)}\n`);
    await writeFileAtomically(`${stem}.svg`, plotSvg(chartOf(result), [footnoteOf(result)]));
    output.line(`\nwritten to ${stem}.json and .svg`);
  }
  return result;
}

await run({
  call: 'npm run bench --',
  about:
    'Benchmarks of queries, passes, kernels and memory, timed by the package benchmark, and of estimators on functions.',
  fallback: 'all',
  tasks: [
    task({
      name: 'all',
      summary: 'Runs every benchmark with its defaults; this is what runs without a name.',
      notes: NOTES + SAMPLED,
      options: {
        ...{ threads: shared.threads, seconds: shared.seconds },
        batchSize: number('images (default: 256, of outputs 32 and 64)', integer(1, MOST_IMAGES), undefined),
        out: text('DIR', 'folder for NAME.json and NAME.svg of each', 'bench/results'),
      },
      run: async (values, context) => {
        const results: Record<string, Benchmark> = {};
        const any = { network: undefined, depth: undefined, width: undefined };
        for (const name of BENCHMARKS) {
          results[name] = await bench(name, { ...any, ...values }, context);
          context.output.line();
        }
        return results;
      },
    }),
    task({
      name: 'reuse',
      summary: 'Times CGE by how much of the unperturbed pass a query reuses.',
      notes: NOTES + SAMPLED,
      options: { ...shared, ...cge },
      run: (values, context) => bench('reuse', values, context),
    }),
    task({
      name: 'forward',
      summary: 'Times whole forward passes.',
      notes: NOTES,
      options: { ...shared, batchSize, seed },
      run: (values, context) => bench('forward', values, context),
    }),
    task({
      name: 'kernels',
      summary: 'Times single kernels on the shapes that networks have.',
      notes: NOTES,
      options: shared,
      run: (values, context) => bench('kernels', values, context),
    }),
    task({
      name: 'scaling',
      summary: 'Times CGE on one thread, two, and so on.',
      notes: NOTES + SAMPLED,
      options: { ...shared, ...cge, mode: reuse('incremental') },
      run: (values, context) => bench('scaling', values, context),
    }),
    task({
      name: 'outputs',
      summary: 'Times CGE by losses of outputs, which JavaScript computes, beside the built-in one.',
      notes: NOTES + ' Queries per second and ratios are of the quickest calls.',
      options: {
        ...shared,
        batchSize: number('images (default: 32 of the CNN, 64 of ResNet-20)', integer(1, MOST_IMAGES), undefined),
        ...{ mu, seed },
      },
      run: (values, context) => bench('outputs', values, context),
    }),
    task({
      name: 'rollouts',
      summary: 'Times CGE of rollouts through a flow solver, side by side and otherwise.',
      notes: 'Queries per second and ratios are of the quickest calls.',
      options: {
        ...{ threads: shared.threads, seconds: shared.seconds, out: shared.out },
        trajectories: list(number('trajectories of a query (default: 1, 3 and 16)', integer(1, 1024), 1), undefined),
        steps: number('steps of a rollout', integer(1, 1024), 16),
        ...{ mu, seed },
      },
      run: (values, context) => {
        const any = { network: undefined, depth: undefined, width: undefined };
        return bench('rollouts', { ...any, ...values }, context);
      },
    }),
    task({
      name: 'memory',
      summary: 'Measures the memory of a process that does CGE.',
      notes: 'Peaks are of the whole process, with what Node takes; what CGE allocates is counted.',
      options: {
        ...shared,
        memory: size('the most that a computation may allocate, such as 500MB: as many threads as fit are used (default: no bound)'), // prettier-ignore
        ...{ batchSize, mode: reuse('all'), mu, seed },
      },
      run: (values, context) => bench('memory', values, context),
    }),
    task({
      name: 'functions',
      summary: 'Counts the evaluations that estimators need to minimise functions.',
      notes:
        'Each method has one setting for all functions. Starts, directions and noise follow from the seed; the counts are the ' +
        'same on every machine but for the last bits of its functions.',
      options: {
        functions: list(choice('functions (default: all)', PROBLEMS.map(({ name }) => name), undefined), undefined), // prettier-ignore
        methods: list(choice('estimators with an optimizer (default: all)', METHODS.map(({ name }) => name), undefined), undefined), // prettier-ignore
        seeds: number('starts of each function', integer(1, 1000), 10),
        seed: number('the first of the seeds', integer(0), 0),
        out: shared.out,
      },
      run: (values, context) => {
        const untimed = { network: undefined, depth: undefined, width: undefined, threads: 1, seconds: 0 };
        return bench('functions', { ...untimed, ...values }, context);
      },
    }),
  ],
});
