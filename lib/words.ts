/**
 * Machines and times in words.
 *
 * @module
 */
import { availableCores, processorName } from './machine.js';
import { native } from './native.js';
import { version } from './version.js';

/** What a time is of. */
export function machineInWords(threads: number): string {
  return `deepzero ${version} (${native.isa}), ${threads} of ${availableCores()} cores of ${processorName()}`;
}

/** Seconds as a person would say them. */
export function duration(seconds: number): string {
  if (seconds < 0.0095) return `${(1000 * seconds).toFixed(1)} ms`;
  if (seconds < 0.95) return `${Math.round(1000 * seconds)} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}
