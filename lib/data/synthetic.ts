/**
 * The embedded data set: ten classes, a disc or a star on one of five textures, 3×32×32, generated in a moment
 * and the same on every machine (only + − × ÷ and square roots, which IEEE 754 fixes to the last bit).
 *
 * Place, size, rotation, phase and colours are random, so no single pixel determines the class and a linear classifier
 * of pixels fails; a small CNN does well. Textures fill the image, so that a run of few steps already learns them;
 * the shape takes longer.
 *
 * @module
 */
import * as v from 'valibot';

import { Random } from '../native/random.js';
import { integer, parseOptions, seed } from '../support/schema.js';
import type { ImageDatasets } from './cifar10.js';
import { ImageDataset } from './dataset.js';

const SIZE = 32;
const CHANNELS = 3;
const PLANE = SIZE * SIZE;
const IMAGE_BYTES = CHANNELS * PLANE;

/** Test images are numbered from here, so that no training image is ever a test image. */
const TEST_OFFSET = 0x8000_0000;

/** As many images as there may be: 3 GB of pixels. */
export const MOST_IMAGES = 1_000_000;

/**
 * Signed distances in pixels to an outline, negative inside, of the points (u[i], v[i]). A figure measures all points of an
 * image in one call, since a call a pixel takes longer than its arithmetic.
 */
type Distances = (u: Float64Array, v: Float64Array, out: Float64Array) => void;

function hypot(u: number, v: number): number {
  return Math.sqrt(u * u + v * v);
}

/** Distance to the bands of width period/2 of a line's stripes. */
function band(position: number, period: number): number {
  const phase = position / period;
  return (Math.abs(phase - Math.floor(phase) - 0.5) - 0.25) * period;
}

function horizontalStripes(period: number): Distances {
  return (_, v, out) => {
    for (let i = 0; i < PLANE; i++) out[i] = band(v[i]!, period);
  };
}

function verticalStripes(period: number): Distances {
  return (u, _, out) => {
    for (let i = 0; i < PLANE; i++) out[i] = band(u[i]!, period);
  };
}

function checks(period: number): Distances {
  return (u, v, out) => {
    for (let i = 0; i < PLANE; i++) {
      const a = band(u[i]!, period);
      const b = band(v[i]!, period);
      out[i] = Math.min(Math.abs(a), Math.abs(b)) * (a * b > 0 ? 1 : -1);
    }
  };
}

function dots(period: number): Distances {
  const offCentre = (position: number): number => position - period * Math.round(position / period);
  return (u, v, out) => {
    for (let i = 0; i < PLANE; i++) out[i] = hypot(offCentre(u[i]!), offCentre(v[i]!)) - 0.3 * period;
  };
}

function disc(radius: number): Distances {
  return (u, v, out) => {
    for (let i = 0; i < PLANE; i++) out[i] = hypot(u[i]!, v[i]!) - radius;
  };
}

/** A five-pointed star: a point is folded into one half ray by reflection at the axes of 36° and 72°. */
function star(radius: number): Distances {
  const cos36 = 0.8090169943749475;
  const sin36 = 0.5877852522924731;
  const inner = 0.45;
  const edgeX = inner * sin36;
  const edgeY = inner * cos36 - 1;
  const edgeSquared = edgeX * edgeX + edgeY * edgeY;
  const outside = (radius + 1) ** 2;
  return (u, v, out) => {
    for (let i = 0; i < PLANE; i++) {
      let x = Math.abs(u[i]!);
      let y = v[i]!;
      if (x * x + y * y > outside) {
        out[i] = Infinity;
        continue;
      }
      const first = 2 * Math.max(0, cos36 * x - sin36 * y);
      x -= first * cos36;
      y += first * sin36;
      const second = 2 * Math.max(0, -cos36 * x - sin36 * y);
      x = Math.abs(x + second * cos36);
      y += second * sin36 - radius;
      const along = Math.min(radius, Math.max(0, (x * edgeX + y * edgeY) / edgeSquared));
      const side = y * edgeX - x * edgeY;
      out[i] = hypot(x - edgeX * along, y - edgeY * along) * (side > 0 ? 1 : -1);
    }
  };
}

/** An outline or a pattern, given its radius or period in pixels, and that length's range. */
interface Figure {
  name: string;
  distances: (length: number) => Distances;
  range: readonly [number, number];
}

const SHAPES: readonly Figure[] = [
  { name: 'disc', distances: disc, range: [7, 10] },
  { name: 'star', distances: star, range: [9, 13] },
];

/** Inside is where the second colour goes. */
const TEXTURES: readonly Figure[] = [
  { name: 'plain ground', distances: () => (_, _v, out) => out.fill(Infinity), range: [1, 1] },
  { name: 'horizontal stripes', distances: horizontalStripes, range: [4, 5] },
  { name: 'vertical stripes', distances: verticalStripes, range: [4, 5] },
  { name: 'checks', distances: checks, range: [10, 12] },
  { name: 'dots', distances: dots, range: [6, 8] },
];

interface Kind {
  name: string;
  shape: Figure;
  texture: Figure;
}

const KINDS: readonly Kind[] = SHAPES.flatMap((shape) =>
  TEXTURES.map((texture) => ({ name: `${shape.name} on ${texture.name}`, shape, texture })),
);

/** Axes rotated about an origin. */
interface Frame {
  x: number;
  y: number;
  cos: number;
  sin: number;
}

/** A frame rotated by the angle whose half has this tangent: all angles for −1 … 1 and `upsideDown` or not. */
function frame(x: number, y: number, halfTangent: number, upsideDown = false): Frame {
  const scale = (upsideDown ? -1 : 1) / (1 + halfTangent * halfTangent);
  return { x, y, cos: (1 - halfTangent * halfTangent) * scale, sin: 2 * halfTangent * scale };
}

type Colour = readonly [number, number, number];

/** A colour near this brightness (0 … 1) with a random hue of at most this vividness. */
function colour(random: Random, brightness: number, vividness: number): Colour {
  const level = brightness + random.between(-0.07, 0.07);
  const part = (): number => random.between(-vividness, vividness);
  const hue = [part(), part(), part()] as const;
  const mean = (hue[0] + hue[1] + hue[2]) / 3;
  return [level + hue[0] - mean, level + hue[1] - mean, level + hue[2] - mean];
}

/** Everything random about an image except its noise. */
function compose(random: Random, kind: Kind) {
  const middle = SIZE / 2;
  const sign = random.integer(2) * 2 - 1;
  return {
    shape: kind.shape.distances(random.between(...kind.shape.range)),
    shapeFrame: frame(
      middle + random.between(-4, 4),
      middle + random.between(-4, 4),
      random.between(-1, 1),
      random.integer(2) === 1,
    ),
    texture: kind.texture.distances(random.between(...kind.texture.range)),
    textureFrame: frame(random.between(0, SIZE), random.between(0, SIZE), random.between(-0.1, 0.1)),
    shapeColour: colour(random, 0.5, 0.5),
    groundColour: colour(random, 0.5 + 0.32 * sign, 0.15),
    inkColour: colour(random, 0.5 - 0.32 * sign, 0.15),
  };
}

/** Peak-to-peak noise, as a fraction of white. */
const NOISE: number = 1 / 16;

/** The noise that each value of a random byte adds. */
const NOISE_OF_BYTE: Float64Array = Float64Array.from({ length: 256 }, (_, byte) => NOISE * (byte / 255 - 0.5));

/** Draws images; its buffers serve one after the other. */
class Painter {
  readonly #u = new Float64Array(PLANE);
  readonly #v = new Float64Array(PLANE);
  readonly #front = new Float64Array(PLANE);
  readonly #ink = new Float64Array(PLANE);
  readonly #grain = new Uint32Array(PLANE);

  /** Draws one image of a class into `out`: three planes of bytes. */
  draw(random: Random, kind: Kind, out: Uint8Array): void {
    const { shape, shapeFrame, texture, textureFrame, shapeColour, groundColour, inkColour } = compose(random, kind);
    this.#cover(shape, shapeFrame, this.#front);
    this.#cover(texture, textureFrame, this.#ink);
    const [front, ink, grain] = [this.#front, this.#ink, this.#grain];
    for (let i = 0; i < PLANE; i++) grain[i] = random.uint32();
    for (let channel = 0; channel < CHANNELS; channel++) {
      const paint = shapeColour[channel]!;
      const ground = groundColour[channel]!;
      const contrast = inkColour[channel]! - ground;
      const shift = 8 * channel;
      const plane = out.subarray(channel * PLANE, (channel + 1) * PLANE);
      for (let i = 0; i < PLANE; i++) {
        const back = ground + contrast * ink[i]!;
        const clean = back + (paint - back) * front[i]!;
        const value = 255 * (clean + NOISE_OF_BYTE[(grain[i]! >>> shift) & 255]!);
        plane[i] = value <= 0 ? 0 : value >= 255 ? 255 : value + 0.5;
      }
    }
  }

  /** Fraction of each pixel that lies inside a figure: edges are one pixel soft. */
  #cover(distances: Distances, { x, y, cos, sin }: Frame, out: Float64Array): void {
    const [u, v] = [this.#u, this.#v];
    for (let row = 0, i = 0; row < SIZE; row++) {
      const dy = row - y;
      for (let column = 0; column < SIZE; column++, i++) {
        const dx = column - x;
        u[i] = cos * dx + sin * dy;
        v[i] = cos * dy - sin * dx;
      }
    }
    distances(u, v, out);
    for (let i = 0; i < PLANE; i++) out[i] = Math.min(1, Math.max(0, 0.5 - out[i]!));
  }
}

/** Image i is of class i mod 10, and a function of (seed, first + i) alone: a larger set begins with the smaller. */
function generate(seed: number, first: number, count: number): { images: Uint8Array; labels: Uint8Array } {
  const images = new Uint8Array(count * IMAGE_BYTES);
  const labels = Uint8Array.from({ length: count }, (_, i) => i % KINDS.length);
  const painter = new Painter();
  labels.forEach((label, i) => {
    const out = images.subarray(i * IMAGE_BYTES, (i + 1) * IMAGE_BYTES);
    painter.draw(new Random(seed, 'synthetic', first + i), KINDS[label]!, out);
  });
  return { images, labels };
}

/** Mean and standard deviation of each channel, of pixel values scaled to 0 … 1. */
function statistics(images: Uint8Array): { mean: number[]; std: number[] } {
  const sums = new Float64Array(CHANNELS);
  const squares = new Float64Array(CHANNELS);
  for (let plane = 0, i = 0; i < images.length; plane++) {
    let sum = 0;
    let square = 0;
    for (const end = i + PLANE; i < end; i++) {
      const value = images[i]!;
      sum += value;
      square += value * value;
    }
    sums[plane % CHANNELS]! += sum;
    squares[plane % CHANNELS]! += square;
  }
  const count = images.length / CHANNELS;
  const mean = Array.from(sums, (sum) => sum / count / 255);
  const std = Array.from(squares, (square, c) => Math.sqrt(square / count / 255 ** 2 - mean[c]! ** 2));
  return { mean, std };
}

export const syntheticOptions = v.strictObject({
  /** Fixes the images: an integer from 0 to 2⁵³ − 1, default: 0. */
  seed: v.optional(seed, 0),
  /** Number of training images, from 1 to 1000000; default: 5000. */
  train: v.optional(integer(1, MOST_IMAGES), 5000),
  /** Number of test images, from 1 to 1000000; default: 1000. */
  test: v.optional(integer(1, MOST_IMAGES), 1000),
});
/** The options of `synthetic`. */
export interface SyntheticOptions extends v.InferInput<typeof syntheticOptions> {}

/**
 * Generates the data set: images of a disc or a star on plain ground, horizontal stripes, vertical stripes, checks
 * or dots, the ten classes in turn. Normalised by the mean and standard deviation of its training images. Takes some 60 µs
 * an image, on the calling thread.
 *
 * @example const { train, test } = synthetic({ seed: 1, train: 2000 });
 * @throws InvalidArgumentError for a count below 1, or a seed that is no integer from 0 to 2⁵³ − 1.
 */
export function synthetic(options: SyntheticOptions = {}): ImageDatasets {
  const counts = parseOptions(syntheticOptions, options, 'synthetic');
  const train = generate(counts.seed, 0, counts.train);
  const test = generate(counts.seed, TEST_OFFSET, counts.test);
  const common = {
    shape: [CHANNELS, SIZE, SIZE] as const,
    classNames: KINDS.map(({ name }) => name),
    ...statistics(train.images),
  };
  return {
    train: new ImageDataset({ name: 'synthetic train', ...train, ...common }),
    test: new ImageDataset({ name: 'synthetic test', ...test, ...common }),
  };
}
