/**
 * The `deepzero bench` commands: benchmarks by the wall clock, their tables and their JSON.
 *
 * @module
 */
import { join } from 'node:path';
import { runBenchmark } from './benchmarks.js';
import type { Benchmark, BenchmarkName, BenchmarkOptions } from './benchmarks.js';
import { wallClock } from './sampling.js';
import { REUSES } from '../lib/model/options.js';
import { fraction, positive } from '../lib/support/check.js';
import { checkDestination, makeFolder, writeFileAtomically } from '../lib/support/files.js';
import { MOST_IMAGES } from '../lib/data/synthetic.js';
import type { Network } from '../lib/network/description.js';
import { BATCH_SIZE } from '../lib/paper.js';
import { benchTable } from './tables.js';
import type { Command } from '../lib/cli/old/command.js';
import { command } from '../lib/cli/old/command.js';
import {
  buildNetwork,
  memoryOption,
  optionalNetworkOptions,
  seedOption,
  threadsOption,
  whole,
} from '../lib/cli/old/inputs.js';
import type { NetworkChoice } from '../lib/cli/old/inputs.js';
import { choice, list, number, text } from '../lib/cli/old/options.js';
import type { Output } from '../lib/cli/output.js';
import { muOption } from '../lib/cli/old/ratios.js';

const SUMMARIES: Readonly<Record<BenchmarkName, string>> = {
  reuse: 'Times CGE by how much of the unperturbed pass a query reuses.',
  forward: 'Times whole forward passes.',
  kernels: 'Times single kernels on the shapes that networks have.',
  scaling: 'Times CGE on one thread, two, and so on.',
  memory: 'Measures the memory of a process that does CGE.',
};

const NOTES =
  'What is compared takes turns, so that ratios survive a noisy machine; the peak of multiply-adds is measured in the same ' +
  'run. Multiply-adds are those of convolutions and linear layers, counted. Images are generated, batch norm is in training ' +
  'mode.';

const SAMPLED =
  ' A sweep that takes too long is timed on a stratified sample of its coordinates, and the output says so.';

const common = {
  ...optionalNetworkOptions('the CNN at depths 1 to 5 and resnet20 unless given'),
  threads: threadsOption,
  seconds: number(positive, { help: 'measuring time of each thing that is timed, about', default: 3 }),
  out: text('DIR', { help: 'folder for the result as a JSON file' }),
};
const batchSize = number(whole(1, MOST_IMAGES), { help: 'images', default: BATCH_SIZE });
const mode = list(choice(REUSES, { help: '' }), { help: 'how much a query reuses; all unless given' });
const sparsity = list(
  number((value, what) => fraction(value, what), { help: '' }),
  { help: 'fractions of the weights that a sweep leaves out; 0, and 0.9 and 0.99 of ResNet-20, unless given' },
);
const cge = { mu: muOption, seed: seedOption };

const reuse = command({
  name: 'reuse',
  summary: SUMMARIES.reuse,
  notes: NOTES + SAMPLED,
  options: { ...common, batchSize, mode, sparsity, ...cge },
  run: (values, context) => bench('reuse', values, context),
});

const forward = command({
  name: 'forward',
  summary: SUMMARIES.forward,
  notes: NOTES,
  options: { ...common, batchSize, seed: seedOption },
  run: (values, context) => bench('forward', values, context),
});

const kernels = command({
  name: 'kernels',
  summary: SUMMARIES.kernels,
  notes: NOTES,
  options: common,
  run: (values, context) => bench('kernels', values, context),
});

const scaling = command({
  name: 'scaling',
  summary: SUMMARIES.scaling,
  notes: NOTES + SAMPLED,
  options: {
    ...common,
    batchSize,
    mode: { ...mode, help: 'how much a query reuses; incremental unless given' },
    sparsity,
    ...cge,
  },
  run: (values, context) => bench('scaling', values, context),
});

const memory = command({
  name: 'memory',
  summary: SUMMARIES.memory,
  notes: 'Peaks are of the whole process, with what Node takes; what CGE allocates is counted.',
  options: { ...common, memory: memoryOption, batchSize, mode, ...cge },
  run: (values, context) => bench('memory', values, context),
});

export const benchCommands: readonly Command[] = [reuse, forward, kernels, scaling, memory];

interface BenchValues extends Omit<BenchmarkOptions, 'networks' | 'modes' | 'sparsities'> {
  readonly network: NetworkChoice['network'] | undefined;
  readonly depth: number | undefined;
  readonly width: number | undefined;
  readonly seconds: number;
  readonly out: string | undefined;
  readonly mode?: BenchmarkOptions['modes'];
  readonly sparsity?: BenchmarkOptions['sparsities'];
}

async function bench(
  name: BenchmarkName,
  { network, depth, width, seconds, out, mode: modes, sparsity: sparsities, ...rest }: BenchValues,
  { output, signal }: { output: Output; signal: AbortSignal },
): Promise<Benchmark> {
  const networks: Network[] | undefined =
    network === undefined ? undefined : [buildNetwork({ network, depth, width }, 10)];
  const options: BenchmarkOptions = { ...rest, networks, modes, sparsities };
  const file = out === undefined ? undefined : await destinationIn(out, `${name}.json`);
  const result = await runBenchmark(name, options, {
    sampler: wallClock,
    seconds,
    signal,
    onStatus: (text) => {
      output.status(text);
    },
  });
  output.line(benchTable(result));
  if (file !== undefined) {
    await writeFileAtomically(file, `${JSON.stringify(result, undefined, 2)}\n`);
    output.line(`\nwritten to ${file}`);
  }
  return result;
}

/** A file that can be written once there is something to write. */
async function destinationIn(folder: string, name: string): Promise<string> {
  await makeFolder(folder);
  const file = join(folder, name);
  await checkDestination(file);
  return file;
}
