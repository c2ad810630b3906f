/**
 * Loads the addon, in this file alone, and declares its types. Nothing here validates arguments for users: callers have
 * checked them, and the addon checks again only what memory safety requires.
 *
 * @module
 */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

import type { NativeRanks } from './ranks.js';
import type { NativeJob, NativeKernelCost, NativeKernelRun, NativeNetwork, NativeOperation } from './requests.js';
import type { NativeRollouts, NativeSimulator } from './rollouts.js';

export type * from './requests.js';
export type * from './rollouts.js';

export interface NativeAddon {
  /** The instruction set in use: 'avx512', 'avx2' or 'portable'. */
  readonly isa: string;
  /** The instruction sets that this build contains and this processor supports, best first. */
  readonly supportedIsas: string[];
  Network: new (input: [number, number, number], operations: readonly NativeOperation[]) => NativeNetwork;
  Rollouts: new (
    input: [number, number, number],
    operations: readonly NativeOperation[],
    path: string,
    config: string,
  ) => NativeRollouts;
  /** Loads the simulators of a shared object, and makes one to ask it for its sizes. */
  simulator(path: string, config: string): NativeSimulator;
  /** `count` 32-bit words of Philox4x32-10 under key `seed`, from word `offset` of (stream, index). */
  random(seed: number, stream: number, index: number, offset: number, count: number): Uint32Array;
  readonly ranks: NativeRanks;
  /** Calls a kernel repeatedly on every thread, and times the calls. */
  runKernel(request: NativeKernelRun): NativeJob<NativeKernelCost>;
}

/**
 * Makes OpenMP's threads sleep while they wait, unless the user has set how they wait. By default they spin. Spinning saves some
 * microseconds while every core is free, but when another process uses a core, a spinning thread can occupy the core that a
 * working thread needs: a pass then takes 100 times as long. OpenMP reads the environment when `load` first loads it into the
 * process. A worker's environment is a copy that OpenMP does not see, so the main thread should load the addon first.
 */
function withSleepingThreads<T>(load: () => T): T {
  const unset = ['OMP_WAIT_POLICY', 'GOMP_SPINCOUNT'].every((name) => process.env[name] === undefined);
  if (!unset) return load();
  process.env['OMP_WAIT_POLICY'] = 'passive';
  try {
    return load();
  } finally {
    delete process.env['OMP_WAIT_POLICY'];
  }
}

function load(): NativeAddon {
  const require = createRequire(import.meta.url);
  const root = fileURLToPath(new URL('../..', import.meta.url));
  try {
    return withSleepingThreads(() => (require('node-gyp-build') as (folder: string) => NativeAddon)(root));
  } catch (cause) {
    // The addon loaded and refused DEEPZERO_ISA.
    if (cause instanceof TypeError && 'code' in cause && cause.code === 'DEEPZERO_INVALID_ARGUMENT') throw cause;
    const reason = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause);
    throw new Error(
      `deepzero's native addon did not load: ${reason}. Build it with a C++17 compiler with OpenMP, make and python3: ` +
        'with npm by "npm rebuild deepzero" (first "npm install-scripts approve deepzero" if npm blocked the install script), ' +
        'with pnpm by "pnpm approve-builds" and "pnpm rebuild deepzero".',
      { cause },
    );
  }
}

let loaded: NativeAddon | undefined;

function addon(): NativeAddon {
  return (loaded ??= load());
}

/** The addon, loaded at its first use, once per process, and shared by worker threads. */
export const native: NativeAddon = {
  get isa() {
    return addon().isa;
  },
  get supportedIsas() {
    return addon().supportedIsas;
  },
  get Network() {
    return addon().Network;
  },
  get Rollouts() {
    return addon().Rollouts;
  },
  get ranks() {
    return addon().ranks;
  },
  simulator: (path, config) => addon().simulator(path, config),
  random: (seed, stream, index, offset, count) => addon().random(seed, stream, index, offset, count),
  runKernel: (request) => addon().runKernel(request),
};
