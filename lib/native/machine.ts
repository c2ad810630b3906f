/**
 * The machine that a time was measured on.
 *
 * @module
 */
import { version } from '../support/version.js';
import { native } from './addon.js';
import { availableCores, processorName } from './cores.js';

/** Everything beside the threads that a measured time depends on. */
export interface Machine {
  /** Of deepzero. */
  version: string;
  /** The instruction set in use: `avx512`, `avx2` or `portable`; `DEEPZERO_ISA` chooses. */
  isa: string;
  /** The processor's name, on x86 with its family and model. */
  processor: string;
  /** The cores that this process may use. */
  cores: number;
  /** The version of Node. */
  node: string;
  /** The processes that share queries, each of as many threads. */
  ranks: number;
}

/**
 * The machine that this process runs on.
 *
 * @example machine() // { version: '0.1.0', isa: 'avx512', processor: 'AMD EPYC (family 26, model 2)', cores: 2, node: 'v20.19.0', ranks: 1 }
 */
export function machine(): Machine {
  const { isa } = native;
  const ranks = native.ranks.count();
  return { version, isa, processor: processorName(), cores: availableCores(), node: process.version, ranks };
}

/**
 * The machine in one line, as a training log has it, for times of computations on `threads` threads; a bound on memory, in
 * bytes, may have allowed fewer. Of several ranks, rank 0's machine.
 *
 * @example describeMachine(model) // 'deepzero 0.1.0 (avx512), 2 of 2 cores of AMD EPYC (family 26, model 2)'
 */
export function describeMachine({ threads, memory }: { threads: number; memory?: number | undefined }): string {
  const { isa, cores, processor, ranks } = machine();
  const each = ranks === 1 ? '' : `, each of ${ranks} ranks`;
  const bound = memory === undefined ? '' : `, within ${memory.toLocaleString('en-US')} bytes`;
  return `deepzero ${version} (${isa}), ${threads} of ${cores} cores of ${processor}${each}${bound}`;
}

/** A remark on a run that goes on from a checkpoint of another instruction set; undefined for other runs. */
export function ofOtherIsa({ resumedIsa }: { readonly resumedIsa: string | undefined }): string | undefined {
  if (resumedIsa === undefined || resumedIsa === native.isa) return undefined;
  const resumed = `The run was saved under ${resumedIsa} and goes on under ${native.isa}`;
  return `${resumed}: its results may differ in the last bits (DEEPZERO_ISA chooses).`;
}
