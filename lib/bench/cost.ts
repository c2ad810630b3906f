/**
 * What queries cost by counting, and what the processor can do at most.
 *
 * @module
 */
import { runJob } from '../jobs.js';
import type { NativeCost, NativeKernelCost, NativeKernelRun } from '../native.js';
import { native } from '../native.js';
import type { CompiledNetwork } from '../network/compile.js';
import type { Network } from '../network/description.js';
import type { Contender } from './sampling.js';
import { quickest } from './sampling.js';

/** The work of the coordinates' queries, each once, by how much is reused, and the bytes of the buffers. */
export async function countCost(
  { network, compiled }: { network: Network; compiled: CompiledNetwork },
  coordinates: Uint32Array,
  count: number,
): Promise<NativeCost> {
  const counted = new native.Network(network.input, compiled.operations);
  return runJob(() => counted.cost({ coordinates, count }), {});
}

/** One kernel, called so often that a run takes about `CALL_SECONDS`. */
export interface KernelContender extends Contender {
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
  let cost: NativeKernelCost | undefined;
  const calling = (calls: number): Contender => ({
    name,
    run: async () => (cost = await native.runKernel({ ...run, calls }).promise),
  });
  await calling(1).run();
  let calls = 1;
  for (;;) {
    const taken = await quickest(calling(calls));
    if (taken >= seconds / 2) break;
    calls = Math.ceil(calls * Math.min(16, Math.max(2, (0.8 * seconds) / taken)));
  }
  return { ...calling(calls), cost: cost!, calls: calls * run.threads };
}

/** The processor's peak, to be timed among those that are held against it. */
export async function peakContender(threads: number): Promise<KernelContender> {
  const nothing = { channels: 1, outputs: 1, size: 1, stride: 1 };
  return kernelContender(`the FMA peak of ${threads}`, { kernel: 'multiplyAdds', ...nothing, threads });
}

/** Floating-point operations a second in the best of the peak's timings, a multiply-add being two. */
export function peakFlopsOf({ cost, calls }: KernelContender, timings: readonly number[]): number {
  return (2 * cost.done * calls) / Math.min(...timings);
}
