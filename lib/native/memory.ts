/**
 * The threads that fit into a bound on memory, and sizes in messages.
 *
 * @module
 */
import { InvalidArgumentError } from '../support/errors.js';
import type { NativeFit } from './addon.js';

/** Bytes per unit. */
export const UNITS = { B: 1, KB: 1e3, MB: 1e6, GB: 1e9, KiB: 1024, MiB: 1_048_576, GiB: 1_073_741_824 } as const;

/**
 * The threads on which a computation on `images` images fits into `memory` bytes.
 *
 * @throws InvalidArgumentError if not even one fits.
 */
export function threadsWithin(memory: number, { threads, bytes }: NativeFit, images: number): number {
  if (threads > 0) return threads;
  const least = `at least ${formatBytes(bytes, Math.ceil)} for ${images} image${images === 1 ? '' : 's'} on one thread`;
  const received = formatBytes(memory, Math.floor);
  const message = (name: string): string =>
    `Expected ${name} to be ${least}, received ${received}: raise ${name}, or use a smaller batch`;
  throw new InvalidArgumentError(message, { option: 'memory' });
}

/** Four digits and a unit: 1234567 → `1.235MB`. `round` makes sure that a required size is enough, and a refused one too small. */
function formatBytes(bytes: number, round: (value: number) => number): string {
  const unit = (['GB', 'MB', 'KB'] as const).find((name) => bytes >= UNITS[name]) ?? 'B';
  const value = bytes / UNITS[unit];
  const scale = unit === 'B' ? 1 : 10 ** Math.max(0, 4 - String(Math.ceil(value)).length);
  return `${round(value * scale) / scale}${unit}`;
}
