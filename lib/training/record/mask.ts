/**
 * The coordinates that a run queries: as `mask.safetensors` in its folder, and as fractions of its tensors.
 *
 * @module
 */
import { rm } from 'node:fs/promises';

import type { ParameterTensor } from '../../objectives/objective.js';
import { replaceFile, withFileErrors } from '../../support/files.js';
import type { Tensor } from '../../support/safetensors.js';
import { encodeSafetensors } from '../../support/safetensors.js';

/** Replaces the file by that of a mask, flat indices; without a mask there is none. */
export async function writeMask(
  file: string,
  tensors: readonly ParameterTensor[],
  mask: Uint32Array | undefined,
): Promise<void> {
  if (!mask) return withFileErrors(file, rm(file, { force: true }));
  const end = tensors.reduce((most, { offset, size }) => Math.max(most, offset + size), 0);
  const queried = new Uint8Array(end);
  for (const flat of mask) queried[flat] = 1;
  const entries = tensors.map(({ name, shape, offset, size }): [string, Tensor] => {
    return [name, { dtype: 'BOOL', shape: [...shape], data: queried.slice(offset, offset + size) }];
  });
  await replaceFile(file, encodeSafetensors(new Map(entries), {}));
}

/** Of each tensor by name, the fraction of its coordinates that are in a mask of increasing flat indices. */
export function densities(tensors: readonly ParameterTensor[], mask: Uint32Array): Record<string, number> {
  const entries = tensors.map(({ name, offset, size }) => {
    return [name, countIn(mask, offset, size) / size];
  });
  return Object.fromEntries(entries) as Record<string, number>;
}

/** How many of a mask's coordinates are in a tensor. */
export function countIn(mask: Uint32Array, offset: number, size: number): number {
  return indexFrom(mask, offset + size) - indexFrom(mask, offset);
}

/** How many of the increasing entries are below `least`. */
function indexFrom(increasing: Uint32Array, least: number): number {
  let [low, high] = [0, increasing.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (increasing[middle]! < least) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Whether two masks have the same coordinates. */
export function sameMask(a: Uint32Array | undefined, b: Uint32Array | undefined): boolean {
  if (!a || !b) return a === b;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** The masks of a run's steps, and where they change. */
export class MaskChanges {
  #last: Uint32Array | undefined;

  /**
   * The mask of the next step if it is not that of the step before; undefined where it is, or there is none.
   *
   * @param before Of the step before the first one that is asked for.
   */
  next(mask: Uint32Array | undefined, before?: () => Uint32Array | undefined): Uint32Array | undefined {
    const last = this.#last ?? before?.();
    this.#last = mask;
    return mask && !sameMask(last, mask) ? mask : undefined;
  }
}
