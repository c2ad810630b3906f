/**
 * Machines and times in words.
 *
 * @module
 */
import { cpus } from 'node:os';

import { availableCores } from '../machine.js';
import { native } from '../native.js';
import { version } from '../version.js';

/** What a time is of. */
export function machineInWords(threads: number): string {
  const processor = cpus()[0]?.model ?? 'unknown processor';
  return `deepzero ${version} (${native.isa}), ${threads} of ${availableCores()} cores of ${processor}`;
}

/** 5400 → `1.5 h` */
export function duration(seconds: number): string {
  if (seconds < 99.5) return `${seconds.toFixed(0)} s`;
  return seconds < 99.5 * 60 ? `${(seconds / 60).toFixed(0)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
