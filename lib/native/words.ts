/**
 * Machines, times and lengths of runs in words.
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

/** Seconds as a person would say them. */
export function duration(seconds: number): string {
  if (seconds < 0.0095) return `${(1000 * seconds).toFixed(1)} ms`;
  if (seconds < 0.95) return `${Math.round(1000 * seconds)} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  const hours = seconds / 3600;
  return hours < 99.5 ? `${hours.toFixed(1)} h` : `${Math.round(hours).toLocaleString('en-US')} h`;
}

/** `1 epoch`, `0.5 epochs` */
export function inEpochs(epochs: number): string {
  return `${epochs} epoch${epochs === 1 ? '' : 's'}`;
}
