/**
 * The benchmarks by name, their defaults and their results.
 *
 * @module
 */
import type { Machine, Network, Reuse } from 'deepzero';
import { cnn, machine, paper, resnet20, REUSES } from 'deepzero';

import type { RaceRow } from './functions/race.js';
import { METHODS, race } from './functions/race.js';
import { PROBLEMS } from './functions/problems.js';
import type { ForwardRow } from './forward.js';
import { timeForward } from './forward.js';
import type { KernelRow } from './kernels.js';
import { timeKernels } from './kernels.js';
import type { MemoryRow } from './memory.js';
import { measureMemory } from './memory.js';
import type { OutputsRow } from './losses/outputs.js';
import { timeOutputs } from './losses/outputs.js';
import type { RolloutsRow } from './losses/rollouts.js';
import { timeRollouts } from './losses/rollouts.js';
import { syntheticBatch } from './support/networks.js';
import type { Session } from './support/sampling.js';
import type { SweepRow } from './sweeps.js';
import { timeSweeps } from './sweeps.js';

export const BENCHMARKS = [
  'reuse',
  'forward',
  'kernels',
  'scaling',
  'memory',
  'outputs',
  'rollouts',
  'functions',
] as const;
export type BenchmarkName = (typeof BENCHMARKS)[number];

interface Rows {
  reuse: SweepRow;
  forward: ForwardRow;
  kernels: KernelRow;
  scaling: SweepRow;
  memory: MemoryRow;
  outputs: OutputsRow;
  rollouts: RolloutsRow;
  functions: RaceRow;
}

/** A benchmark's result: a row for each measurement, and the machine. */
export type Benchmark = { [N in BenchmarkName]: { benchmark: N; machine: Machine; rows: Rows[N][] } }[BenchmarkName];

export interface BenchmarkOptions {
  readonly networks?: readonly Network[] | undefined;
  readonly mode?: readonly Reuse[] | undefined;
  readonly sparsity?: readonly number[] | undefined;
  readonly threads: number;
  /** The bound on a computation's bytes, in the benchmark of memory. */
  readonly memory?: number | undefined;
  readonly batchSize?: number | undefined;
  readonly mu?: number;
  readonly seed?: number;
  /** In the benchmark of rollouts: numbers of trajectories, and steps. */
  readonly trajectories?: readonly number[] | undefined;
  readonly steps?: number;
  /** In the benchmark of functions: their names, those of the methods, and the number of seeds. */
  readonly functions?: readonly string[] | undefined;
  readonly methods?: readonly string[] | undefined;
  readonly seeds?: number;
}

const CNN_DEPTHS = [1, 2, 3, 4, 5];
const RESNET_SPARSITIES = [0, 0.9, 0.99];
/** A small network on a small batch, whose queries are the shortest, and a large one. */
const OUTPUTS: readonly (readonly [Network, number])[] = [
  [cnn({ depth: 2 }), 32],
  [resnet20(), 64],
];

export async function runBenchmark(
  name: BenchmarkName,
  options: BenchmarkOptions,
  session: Session,
): Promise<Benchmark> {
  const { threads, memory, networks, batchSize = paper.BATCH_SIZE, mu = paper.MU, seed = 0 } = options;
  const about = { machine: machine() };
  const largest = networks ?? [cnn(), resnet20()];
  const modes = options.mode ?? REUSES;
  const swept = () => ({ batch: syntheticBatch(batchSize), mu, seed });
  switch (name) {
    case 'reuse': {
      const all = networks ?? [...CNN_DEPTHS.map((depth) => cnn({ depth })), resnet20()];
      const variants = modes.map((mode) => ({ mode, threads }));
      return { ...about, benchmark: name, rows: await sweeps(all, { ...swept(), variants }, options, session) };
    }
    case 'scaling': {
      const counts = Array.from({ length: threads }, (_, i) => i + 1);
      const variants = (options.mode ?? ['incremental']).flatMap((mode) =>
        counts.map((count) => ({ mode, threads: count })),
      );
      return { ...about, benchmark: name, rows: await sweeps(largest, { ...swept(), variants }, options, session) };
    }
    case 'forward': {
      const rows = await timeForward({ networks: largest, batchSize, threads, seed }, session);
      return { ...about, benchmark: name, rows };
    }
    case 'kernels':
      return { ...about, benchmark: name, rows: await timeKernels({ networks: largest, threads }, session) };
    case 'memory': {
      const rows: MemoryRow[] = [];
      for (const network of largest) {
        for (const mode of modes)
          rows.push(await measureMemory({ network, batchSize, mu, seed, mode, threads, memory }, session));
      }
      return { ...about, benchmark: name, rows };
    }
    case 'outputs': {
      const rows: OutputsRow[] = [];
      for (const [network, images] of networks?.map((one) => [one, 64] as const) ?? OUTPUTS) {
        const size = options.batchSize ?? images;
        rows.push(...(await timeOutputs({ network, batchSize: size, threads, mu, seed }, session)));
      }
      return { ...about, benchmark: name, rows };
    }
    case 'rollouts': {
      const { trajectories = [1, 3, 16], steps = 16 } = options;
      return {
        ...about,
        benchmark: name,
        rows: await timeRollouts({ trajectories, steps, threads, mu, seed }, session),
      };
    }
    case 'functions': {
      const { functions, methods, seeds = 10 } = options;
      const problems = PROBLEMS.filter(({ name }) => functions?.includes(name) ?? true);
      const chosen = METHODS.filter(({ name }) => methods?.includes(name) ?? true);
      return { ...about, benchmark: name, rows: await race({ problems, methods: chosen, seeds, seed }, session) };
    }
  }
}

async function sweeps(
  networks: readonly Network[],
  shared: Omit<Parameters<typeof timeSweeps>[0], 'network' | 'sparsity'>,
  { sparsity: sparsities }: BenchmarkOptions,
  session: Session,
): Promise<SweepRow[]> {
  const rows: SweepRow[] = [];
  for (const network of networks) {
    for (const sparsity of sparsities ?? (network.name === 'resnet20' ? RESNET_SPARSITIES : [0])) {
      rows.push(...(await timeSweeps({ ...shared, network, sparsity }, session)));
    }
  }
  return rows;
}
