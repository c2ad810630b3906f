/**
 * Masks as small pictures: which coordinates of each parameter tensor are queried.
 *
 * @module
 */
import { lstat } from 'node:fs/promises';

import { FileError } from '../support/errors.js';
import { withSafetensors } from '../support/safetensors.js';
import { shortName } from './entries.js';
import type { Stamp } from './files.js';
import { isSame } from './files.js';
import type { MaskPicture } from './types.js';

/** The largest picture: enough for a screen, and little to send. */
const MOST_ROWS = 64;
const MOST_COLUMNS = 192;
/** Tensors that are shown, and the coordinates of all of them. */
const MOST_TENSORS = 128;
const MOST_COORDINATES = 2 ** 26;

/** The file of a mask, read again when it has changed. */
export class MaskFile {
  readonly #path: string;
  #stamp: Stamp | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /**
   * Calls `use` with the pictures if the mask has changed since the last call, or with undefined if it is gone.
   *
   * @throws FileError if it cannot be read, or is too large.
   */
  async read(use: (pictures: readonly MaskPicture[] | undefined) => void): Promise<void> {
    const found = await lstat(this.#path, { bigint: true }).catch(() => undefined);
    if (isSame(this.#stamp, found)) return;
    this.#stamp = found;
    if (!found) {
      use(undefined);
      return;
    }
    if (!found.isFile()) throw new FileError(this.#path, 'is not a regular file');
    if (found.size > MOST_COORDINATES) throw new FileError(this.#path, `has ${found.size} bytes: too many to be shown`);
    use(await readPictures(this.#path));
  }
}

async function readPictures(path: string): Promise<MaskPicture[]> {
  return withSafetensors(path, async (opened) => {
    const pictures: MaskPicture[] = [];
    for (const [name, { dtype, shape }] of opened.headers) {
      if (dtype !== 'BOOL' || pictures.length >= MOST_TENSORS) continue;
      pictures.push(pictureOf(shortName(name), shape, (await opened.read(name)) as Uint8Array));
    }
    return pictures;
  });
}

/** A tensor as a picture: a row for each output, with its inputs side by side; a vector is one row. */
export function pictureOf(name: string, shape: readonly number[], mask: Uint8Array): MaskPicture {
  const height = shape.length > 1 ? shape[0]! : Math.min(1, mask.length);
  const width = height === 0 ? 0 : mask.length / height;
  const rows = Math.min(height, MOST_ROWS);
  const columns = Math.min(width, MOST_COLUMNS);
  const [sums, counts] = [new Float64Array(rows * columns), new Float64Array(rows * columns)];
  let kept = 0;
  for (let y = 0, at = 0; y < height; y++) {
    const row = Math.floor((y * rows) / height) * columns;
    for (let x = 0; x < width; x++, at++) {
      const cell = row + Math.floor((x * columns) / width);
      const one = mask[at]! === 0 ? 0 : 1;
      sums[cell]! += one;
      counts[cell]! += 1;
      kept += one;
    }
  }
  const cells = Uint8Array.from(sums, (sum, i) => Math.round((255 * sum) / counts[i]!));
  return { name, shape, kept, rows, columns, cells: Buffer.from(cells).toString('base64') };
}
