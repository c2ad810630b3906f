/**
 * A bound on what a computation allocates: how many threads fit into it, and sizes in words.
 *
 * @module
 */
import { InvalidArgumentError } from '../support/errors.js';
import type { NativeFit } from './addon.js';

/** In bytes. */
export const UNITS = { B: 1, KB: 1e3, MB: 1e6, GB: 1e9, KiB: 1024, MiB: 1_048_576, GiB: 1_073_741_824 } as const;

/**
 * The threads on which a computation on `images` images fits into `memory` bytes.
 *
 * @throws InvalidArgumentError if not even one fits.
 */
export function threadsWithin(memory: number, { threads, bytes }: NativeFit, images: number): number {
  if (threads > 0) return threads;
  const least = `at least ${inWords(bytes, Math.ceil)}, what ${images} image${images === 1 ? ' takes' : 's take'} on one thread`;
  const received = inWords(memory, Math.floor);
  const message = (name: string): string =>
    `Expected ${name} to be ${least}, received ${received}: take a smaller batch, or raise it`;
  throw new InvalidArgumentError(message, { option: 'memory' });
}

/** With four digits, 1234567 → `1.235MB`: rounded up it is enough, rounded down too little. */
function inWords(bytes: number, round: (value: number) => number): string {
  const unit = (['GB', 'MB', 'KB'] as const).find((name) => bytes >= UNITS[name]) ?? 'B';
  const value = bytes / UNITS[unit];
  const scale = unit === 'B' ? 1 : 10 ** Math.max(0, 4 - String(Math.ceil(value)).length);
  return `${round(value * scale) / scale}${unit}`;
}
