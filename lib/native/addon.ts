/**
 * Loads the addon, in this file alone, and declares its types. Nothing here validates arguments for users: callers have
 * checked them, and the addon checks again only what memory safety requires.
 *
 * @module
 */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

import { version } from '../support/version.js';
import { targetOf } from './loading/binary.js';
import { explain, type Failure } from './loading/explain.js';
import { thisSystem } from './loading/system.js';
import type { NativeRanks } from './ranks.js';
import type { NativeJob, NativeKernelCost, NativeKernelRun, NativeNetwork, NativeOperation } from './requests.js';
import type { NativeRollouts, NativeSimulator } from './rollouts.js';

export type * from './requests.js';
export type * from './rollouts.js';

export interface NativeAddon {
  /** Of the package that it was built for; addons of early versions have none. */
  readonly version?: string;
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

/** The package that finds the addon: one that was built here, or else a prebuilt one. */
interface Finder {
  path(packageFolder: string): string;
}

function load(): NativeAddon {
  const require = createRequire(import.meta.url);
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const failed = (failure: Failure, cause?: unknown): Error =>
    new Error(explain(failure, thisSystem(root), version), { cause });
  let file: string | undefined;
  let addon: NativeAddon;
  try {
    file = (require('node-gyp-build') as Finder).path(root);
    const found = file;
    addon = withSleepingThreads(() => require(found) as NativeAddon);
  } catch (cause) {
    // The addon loaded and refused DEEPZERO_ISA.
    if (cause instanceof TypeError && 'code' in cause && cause.code === 'DEEPZERO_INVALID_ARGUMENT') throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw failed({ reason, file, target: file === undefined ? undefined : targetOf(file) }, cause);
  }
  if (addon.version !== version) throw failed({ reason: '', file, version: addon.version ?? 'an earlier one' });
  return addon;
}

let loaded: NativeAddon | undefined;

function addon(): NativeAddon {
  return (loaded ??= load());
}

/** The addon, loaded at its first use, once per process, and shared by worker threads. */
export const native: Omit<NativeAddon, 'version'> = {
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
