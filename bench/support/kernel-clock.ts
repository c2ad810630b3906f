/**
 * The clock of single kernels, and the peak of the processor: the one place beside the library that calls the native addon,
 * since networks run kernels only together.
 *
 * @module
 */
import type { NativeKernelCost, NativeKernelRun } from '../../lib/native/addon.js';
import { native } from '../../lib/native/addon.js';
import type { Contender } from './sampling.js';

export type Kernel = Exclude<NativeKernelRun['kernel'], 'multiplyAdds'>;

/** One kernel, called often enough that a run takes about `CALL_SECONDS`. */
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

/** The processor's peak: a contender, so that it is measured in the same rounds as the others. */
export interface PeakContender extends Contender {
  /** Floating-point operations a second in the quickest call of this process so far; a multiply-add counts as two. */
  flops(): number;
}

/** Short, so that some of the calls are disturbed by nothing. */
const PEAK_SECONDS = 0.003;
const PEAK_CALLS = 8;
/** By threads: the highest rate that was seen, since other processes only lower it. */
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
