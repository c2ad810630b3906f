/**
 * What queries cost by counting, and what the processor can do at most.
 *
 * @module
 */
import type { Batch } from '../lib/data/dataset.js';
import type { Reuse } from '../lib/model/options.js';
import { runJob } from '../lib/native/jobs.js';
import type { NativeCost, NativeFit, NativeKernelCost, NativeKernelRun } from '../lib/native/addon.js';
import { native } from '../lib/native/addon.js';
import type { CompiledNetwork } from '../lib/network/compile.js';
import type { Network } from '../lib/network/description.js';
import type { Contender } from './sampling.js';

interface Counted {
  readonly network: Network;
  readonly compiled: CompiledNetwork;
}

/** The work of the coordinates' queries, each once, by how much is reused. */
export async function countCost({ network, compiled }: Counted, coordinates: Uint32Array): Promise<NativeCost> {
  const counted = new native.Network(network.input, compiled.operations);
  return runJob(() => counted.cost({ coordinates }), {});
}

/** The most of `threads` threads on which CGE over the coordinates allocates at most `bound` bytes, and those bytes. */
export function countMemory(
  { network, compiled }: Counted,
  batch: Batch,
  query: { coordinates: Uint32Array; reuse: Reuse; threads: number },
  bound = Infinity,
): NativeFit {
  const counted = new native.Network(network.input, compiled.operations);
  const { parameterCount, statisticsCount } = compiled;
  const point = { parameters: new Float32Array(parameterCount), statistics: new Float32Array(statisticsCount) };
  const loss = batch.labels ? 'cross-entropy' : 'mean-squared-error';
  const options = { loss, training: true, mu: 1, central: false } as const;
  return counted.memory('coordinatewise', { ...point, ...batch, ...options, ...query }, bound);
}

/** One kernel, called so often that a run takes about `CALL_SECONDS`. */
export interface KernelContender extends Contender {
  /** Of the calls alone: making the buffers takes as long as hundreds of calls. */
  readonly sample: () => Promise<number>;
  readonly cost: NativeKernelCost;
  /** By all threads together. */
  readonly calls: number;
}

const CALL_SECONDS = 0.03;

export async function kernelContender(
  name: string,
  run: Omit<NativeKernelRun, 'calls'>,
  seconds: number = CALL_SECONDS,
): Promise<KernelContender> {
  const calling = (calls: number): Promise<NativeKernelCost> => native.runKernel({ ...run, calls }).promise;
  let calls = 1;
  for (;;) {
    const cost = await calling(calls);
    if (cost.seconds >= seconds / 2) {
      const sample = async (): Promise<number> => (await calling(calls)).seconds;
      return { name, run: sample, sample, cost, calls: calls * run.threads };
    }
    calls = Math.ceil(calls * Math.min(16, Math.max(2, (0.8 * seconds) / cost.seconds)));
  }
}

/** The processor's peak: a contender, so that it is measured while what is held against it is. */
export interface PeakContender extends Contender {
  /** Floating-point operations a second in the quickest call of this process so far, a multiply-add being two. */
  flops(): number;
}

/** Short, so that some of the calls are disturbed by nothing. */
const PEAK_SECONDS = 0.003;
const PEAK_CALLS = 8;
/** By threads: what a noisy machine let through once, it can do. */
const peaks = new Map<number, number>();

export async function peakContender(threads: number): Promise<PeakContender> {
  const nothing = { channels: 1, outputs: 1, size: 1, stride: 1 };
  const name = `the FMA peak of ${threads}`;
  const call = await kernelContender(name, { kernel: 'multiplyAdds', ...nothing, threads }, PEAK_SECONDS);
  const flopsOf = (seconds: number): number => (2 * call.cost.done * call.calls) / seconds;
  return {
    name,
    run: async () => {
      for (let i = 0; i < PEAK_CALLS; i++) {
        peaks.set(threads, Math.max(peaks.get(threads) ?? 0, flopsOf(await call.sample())));
      }
    },
    flops: () => peaks.get(threads)!,
  };
}
