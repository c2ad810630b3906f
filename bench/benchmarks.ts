/**
 * The benchmarks by name: what each runs unless it is told, and what its result says of the machine.
 *
 * @module
 */
import type { Reuse } from '../lib/model/options.js';
import { REUSES } from '../lib/model/options.js';
import { availableCores, processorName } from '../lib/native/cores.js';
import { native } from '../lib/native/addon.js';
import { cnn } from '../lib/network/cnn.js';
import type { Network } from '../lib/network/description.js';
import { resnet20 } from '../lib/network/resnet.js';
import { BATCH_SIZE, MU } from '../lib/paper.js';
import { version } from '../lib/support/version.js';
import type { ForwardRow } from './forward.js';
import { timeForward } from './forward.js';
import type { KernelRow } from './kernels.js';
import { timeKernels } from './kernels.js';
import type { MemoryRow } from './memory.js';
import { measureMemory } from './memory.js';
import type { Session } from './sampling.js';
import type { SweepRow } from './sweeps.js';
import { benchBatch, timeSweeps } from './sweeps.js';

export const BENCHMARKS = ['reuse', 'forward', 'kernels', 'scaling', 'memory'] as const;
export type BenchmarkName = (typeof BENCHMARKS)[number];

interface Rows {
  reuse: SweepRow;
  forward: ForwardRow;
  kernels: KernelRow;
  scaling: SweepRow;
  memory: MemoryRow;
}

interface Machine {
  version: string;
  isa: string;
  processor: string;
  cores: number;
  node: string;
}

/** A benchmark's result: what ran where, and a row for everything that was measured. */
export type Benchmark = { [N in BenchmarkName]: { benchmark: N; machine: Machine; rows: Rows[N][] } }[BenchmarkName];

export interface BenchmarkOptions {
  readonly networks?: readonly Network[] | undefined;
  readonly modes?: readonly Reuse[] | undefined;
  readonly sparsities?: readonly number[] | undefined;
  readonly threads: number;
  /** The bound on a computation's bytes, in the benchmark of memory. */
  readonly memory?: number | undefined;
  readonly batchSize?: number;
  readonly mu?: number;
  readonly seed?: number;
}

const CNN_DEPTHS = [1, 2, 3, 4, 5];
const RESNET_SPARSITIES = [0, 0.9, 0.99];

export async function runBenchmark(
  name: BenchmarkName,
  options: BenchmarkOptions,
  session: Session,
): Promise<Benchmark> {
  const { threads, memory, networks, batchSize = BATCH_SIZE, mu = MU, seed = 0 } = options;
  const machine: Machine = {
    version,
    isa: native.isa,
    processor: processorName(),
    cores: availableCores(),
    node: process.version,
  };
  const largest = networks ?? [cnn(), resnet20()];
  const modes = options.modes ?? REUSES;
  const swept = () => ({ batch: benchBatch(batchSize), mu, seed });
  switch (name) {
    case 'reuse': {
      const all = networks ?? [...CNN_DEPTHS.map((depth) => cnn({ depth })), resnet20()];
      const variants = modes.map((mode) => ({ mode, threads }));
      return { benchmark: name, machine, rows: await sweeps(all, { ...swept(), variants }, options, session) };
    }
    case 'scaling': {
      const counts = Array.from({ length: threads }, (_, i) => i + 1);
      const variants = (options.modes ?? ['incremental']).flatMap((mode) =>
        counts.map((count) => ({ mode, threads: count })),
      );
      return { benchmark: name, machine, rows: await sweeps(largest, { ...swept(), variants }, options, session) };
    }
    case 'forward': {
      const rows = await timeForward({ networks: largest, batchSize, threads, seed }, session);
      return { benchmark: name, machine, rows };
    }
    case 'kernels':
      return { benchmark: name, machine, rows: await timeKernels({ networks: largest, threads }, session) };
    case 'memory': {
      const rows: MemoryRow[] = [];
      for (const network of largest) {
        for (const mode of modes)
          rows.push(await measureMemory({ network, batchSize, mu, seed, mode, threads, memory }, session));
      }
      return { benchmark: name, machine, rows };
    }
  }
}

async function sweeps(
  networks: readonly Network[],
  shared: Omit<Parameters<typeof timeSweeps>[0], 'network' | 'sparsity'>,
  { sparsities }: BenchmarkOptions,
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
