/**
 * The machine that a time was measured on, in words.
 *
 * @module
 */
import { availableCores, processorName } from './cores.js';
import { native } from './addon.js';
import { version } from '../support/version.js';

/** What a time is of: of fewer threads than that many where a bound on memory, in bytes, allows no more. */
export function machineInWords({ threads, memory }: { threads: number; memory?: number | undefined }): string {
  const bound = memory === undefined ? '' : `, within ${memory.toLocaleString('en-US')} bytes`;
  return `deepzero ${version} (${native.isa}), ${threads} of ${availableCores()} cores of ${processorName()}${bound}`;
}

const BETWEEN = '; ';

/** What times of several machines are of: each of them once. */
export function machinesInWords(machines: readonly string[]): string {
  return machinesOf(machines).join(BETWEEN);
}

/** Each once of machines, or of several in words. */
export function machinesOf(inWords: readonly string[]): string[] {
  return [...new Set(inWords.flatMap((machines) => machines.split(BETWEEN)))];
}

/** What to say of a run that goes on from a checkpoint of another instruction set; undefined of others. */
export function ofOtherIsa({ resumedIsa }: { readonly resumedIsa: string | undefined }): string | undefined {
  if (resumedIsa === undefined || resumedIsa === native.isa) return undefined;
  const resumed = `The run was saved under ${resumedIsa} and goes on under ${native.isa}`;
  return `${resumed}: its results may differ in the last bits (DEEPZERO_ISA chooses).`;
}
