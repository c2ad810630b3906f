/**
 * Random crop with padding 4 and random horizontal flip, the augmentation of the paper's CIFAR-10 runs
 * (torchvision's `RandomCrop(32, padding=4)` then `RandomHorizontalFlip()`).
 *
 * @module
 */
import { Random } from '../native/random.js';

/** Black pixels added on each side before the crop. */
export const PADDING = 4;

const SHIFTS: number = 2 * PADDING + 1;

/** Determines the crop and the flip, together with the image's index. */
export interface Augmentation {
  /** The run's seed. */
  seed: number;
  /** The epoch, from 0: each has other crops and flips. */
  epoch: number;
}

/** Shift and flip of an image: output pixel (y, x) is input pixel (y + dy, x + dx); then columns are reversed if `flip`. */
export interface Placement {
  /** −4 … 4 rows. */
  dy: number;
  /** −4 … 4 columns. */
  dx: number;
  flip: boolean;
}

/** No shift and no flip. */
export const IN_PLACE: Placement = { dy: 0, dx: 0, flip: false };

/** Draws the placement of the image with this index: 9 × 9 shifts × 2, all equally likely, from one random word. */
export function drawPlacement({ seed, epoch }: Augmentation, index: number): Placement {
  const word = Random.word(seed, 'augmentation', epoch, index);
  const choice = Math.floor(word * 2 ** -32 * SHIFTS * SHIFTS * 2);
  const shift = choice >> 1;
  return { dy: Math.floor(shift / SHIFTS) - PADDING, dx: (shift % SHIFTS) - PADDING, flip: choice % 2 === 1 };
}

/** C×H×W images of bytes; `table` holds the value of each byte, 256 per channel. */
export interface PixelSource {
  pixels: Uint8Array;
  shape: readonly [number, number, number];
  table: Float32Array;
}

/**
 * Copies image `index` to image `slot` of `out` (NCHW). Pixels outside the image are black *before* the normalisation, as in
 * torchvision: they have the table's value for 0.
 */
export function placeImage(
  source: PixelSource,
  index: number,
  placement: Placement,
  out: Float32Array,
  slot: number,
): void {
  const { pixels, table } = source;
  const [channels, height, width] = source.shape;
  const { dy, dx, flip } = placement;
  const step = flip ? -1 : 1;
  // Output column x is input column start + step·x, which exists for from <= x < to.
  const start = flip ? width - 1 + dx : dx;
  const from = Math.min(width, Math.max(0, -step * dx));
  const to = Math.max(from, width - Math.max(0, step * dx));
  let target = slot * channels * height * width;
  for (let channel = 0; channel < channels; channel++) {
    const values = channel * 256;
    const black = table[values]!;
    for (let y = 0; y < height; y++, target += width) {
      const row = y + dy;
      if (row < 0 || row >= height) {
        out.fill(black, target, target + width);
        continue;
      }
      if (dx !== 0) out.fill(black, target, target + width);
      let pixel = ((index * channels + channel) * height + row) * width + start + step * from;
      for (let x = from; x < to; x++, pixel += step) out[target + x] = table[values + pixels[pixel]!]!;
    }
  }
}
