/**
 * The embedded data set: ten classes, a disc or a star on one of five textures, 3×32×32, generated in a moment
 * and the same on every machine (only + − × ÷ and square roots, which IEEE 754 fixes to the last bit).
 *
 * Place, size, rotation, phase and colours are random, so no pixel tells the class by itself and a linear classifier
 * of pixels fails; a small CNN does well. Textures fill the image, so that a run of few steps already learns them;
 * the shape takes longer.
 *
 * @module
 */
import * as check from '../support/check.js';
import { Random } from '../native/random.js';
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

/** Signed distance in pixels from (u, v) to an outline: negative inside. */
type Distance = (u: number, v: number) => number;

/** Fraction of a pixel at this distance that lies inside: edges are one pixel soft. */
function coverage(distance: number): number {
  return Math.min(1, Math.max(0, 0.5 - distance));
}

function hypot(u: number, v: number): number {
  return Math.sqrt(u * u + v * v);
}

/** Distance to the bands of width period/2 of a line's stripes. */
function band(position: number, period: number): number {
  const phase = position / period;
  return (Math.abs(phase - Math.floor(phase) - 0.5) - 0.25) * period;
}

function checks(period: number): Distance {
  return (u, v) => {
    const a = band(u, period);
    const b = band(v, period);
    return Math.min(Math.abs(a), Math.abs(b)) * (a * b > 0 ? 1 : -1);
  };
}

function dots(period: number): Distance {
  const offCentre = (position: number): number => position - period * Math.round(position / period);
  return (u, v) => hypot(offCentre(u), offCentre(v)) - 0.3 * period;
}

function disc(radius: number): Distance {
  return (u, v) => hypot(u, v) - radius;
}

/** A five-pointed star: a point is folded into one half ray by reflection at the axes of 36° and 72°. */
function star(radius: number): Distance {
  const cos36 = 0.8090169943749475;
  const sin36 = 0.5877852522924731;
  const inner = 0.45;
  const edgeX = inner * sin36;
  const edgeY = inner * cos36 - 1;
  const edgeSquared = edgeX * edgeX + edgeY * edgeY;
  return (u, v) => {
    let x = Math.abs(u);
    let y = v;
    const first = 2 * Math.max(0, cos36 * x - sin36 * y);
    x -= first * cos36;
    y += first * sin36;
    const second = 2 * Math.max(0, -cos36 * x - sin36 * y);
    x = Math.abs(x + second * cos36);
    y += second * sin36 - radius;
    const along = Math.min(radius, Math.max(0, (x * edgeX + y * edgeY) / edgeSquared));
    const side = y * edgeX - x * edgeY;
    return hypot(x - edgeX * along, y - edgeY * along) * (side > 0 ? 1 : -1);
  };
}

/** An outline or a pattern, given its radius or period in pixels, and that length's range. */
interface Figure {
  name: string;
  distance: (length: number) => Distance;
  range: readonly [number, number];
}

const SHAPES: readonly Figure[] = [
  { name: 'disc', distance: disc, range: [7, 10] },
  { name: 'star', distance: star, range: [9, 13] },
];

/** Inside is where the second colour goes. */
const TEXTURES: readonly Figure[] = [
  { name: 'plain ground', distance: () => () => Infinity, range: [1, 1] },
  { name: 'horizontal stripes', distance: (period) => (_, v) => band(v, period), range: [4, 5] },
  { name: 'vertical stripes', distance: (period) => (u) => band(u, period), range: [4, 5] },
  { name: 'checks', distance: checks, range: [10, 12] },
  { name: 'dots', distance: dots, range: [6, 8] },
];

interface Kind {
  name: string;
  shape: Figure;
  texture: Figure;
}

const KINDS: readonly Kind[] = SHAPES.flatMap((shape) =>
  TEXTURES.map((texture) => ({ name: `${shape.name} on ${texture.name}`, shape, texture })),
);

/** Turns coordinates about an origin. */
interface Frame {
  x: number;
  y: number;
  cos: number;
  sin: number;
}

/** A frame turned by the angle whose half has this tangent: all angles for −1 … 1 and `upsideDown` or not. */
function frame(x: number, y: number, halfTangent: number, upsideDown = false): Frame {
  const scale = (upsideDown ? -1 : 1) / (1 + halfTangent * halfTangent);
  return { x, y, cos: (1 - halfTangent * halfTangent) * scale, sin: 2 * halfTangent * scale };
}

function distanceIn({ x, y, cos, sin }: Frame, distance: Distance, pixelX: number, pixelY: number): number {
  const dx = pixelX - x;
  const dy = pixelY - y;
  return distance(cos * dx + sin * dy, cos * dy - sin * dx);
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
    shape: kind.shape.distance(random.between(...kind.shape.range)),
    shapeFrame: frame(
      middle + random.between(-4, 4),
      middle + random.between(-4, 4),
      random.between(-1, 1),
      random.integer(2) === 1,
    ),
    texture: kind.texture.distance(random.between(...kind.texture.range)),
    textureFrame: frame(random.between(0, SIZE), random.between(0, SIZE), random.between(-0.1, 0.1)),
    shapeColour: colour(random, 0.5, 0.5),
    groundColour: colour(random, 0.5 + 0.32 * sign, 0.15),
    inkColour: colour(random, 0.5 - 0.32 * sign, 0.15),
  };
}

/** Peak-to-peak noise, as a fraction of white. */
const NOISE: number = 1 / 16;

/** Draws one image of a class into `out`: three planes of bytes. */
function draw(random: Random, kind: Kind, out: Uint8Array): void {
  const { shape, shapeFrame, texture, textureFrame, shapeColour, groundColour, inkColour } = compose(random, kind);
  for (let y = 0; y < SIZE; y++) {
    for (let x = 0; x < SIZE; x++) {
      const front = coverage(distanceIn(shapeFrame, shape, x, y));
      const ink = coverage(distanceIn(textureFrame, texture, x, y));
      const grain = random.uint32();
      for (let channel = 0; channel < CHANNELS; channel++) {
        const back = groundColour[channel]! + (inkColour[channel]! - groundColour[channel]!) * ink;
        const clean = back + (shapeColour[channel]! - back) * front;
        const value = clean + NOISE * (((grain >>> (8 * channel)) & 255) / 255 - 0.5);
        out[channel * PLANE + y * SIZE + x] = Math.round(255 * Math.min(1, Math.max(0, value)));
      }
    }
  }
}

/** Image i is of class i mod 10, and a function of (seed, first + i) alone: a larger set begins with the smaller. */
function generate(seed: number, first: number, count: number): { images: Uint8Array; labels: Uint8Array } {
  const images = new Uint8Array(count * IMAGE_BYTES);
  const labels = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    const label = i % KINDS.length;
    labels[i] = label;
    draw(
      new Random(seed, 'synthetic', first + i),
      KINDS[label]!,
      images.subarray(i * IMAGE_BYTES, (i + 1) * IMAGE_BYTES),
    );
  }
  return { images, labels };
}

/** Mean and standard deviation of each channel, of pixel values scaled to 0 … 1. */
function statistics(images: Uint8Array): { mean: number[]; std: number[] } {
  const sums = new Float64Array(CHANNELS);
  const squares = new Float64Array(CHANNELS);
  for (let i = 0; i < images.length; i++) {
    const channel = Math.floor(i / PLANE) % CHANNELS;
    sums[channel]! += images[i]!;
    squares[channel]! += images[i]! * images[i]!;
  }
  const count = images.length / CHANNELS;
  const mean = Array.from(sums, (sum) => sum / count / 255);
  const std = Array.from(squares, (square, c) => Math.sqrt(square / count / 255 ** 2 - mean[c]! ** 2));
  return { mean, std };
}

export interface SyntheticOptions {
  /** Default 0. */
  seed?: number;
  /** Number of training images, default 5,000. */
  train?: number;
  /** Number of test images, default 1,000. */
  test?: number;
}

/**
 * Generates the data set: images of a disc or a star on plain ground, horizontal stripes, vertical stripes, checks
 * or dots, the ten classes in turn. Normalised by the mean and standard deviation of its training images.
 *
 * @example const { train, test } = synthetic({ seed: 1, train: 2000 });
 * @throws InvalidArgumentError for a count below 1, or a seed that is no integer >= 0.
 */
export function synthetic(options: SyntheticOptions = {}): ImageDatasets {
  check.options<SyntheticOptions>(options, 'synthetic', ['seed', 'train', 'test']);
  const seed = check.integer(options.seed ?? 0, 'seed');
  const trainCount = check.integer(options.train ?? 5000, 'train', 1, MOST_IMAGES);
  const testCount = check.integer(options.test ?? 1000, 'test', 1, MOST_IMAGES);
  const train = generate(seed, 0, trainCount);
  const test = generate(seed, TEST_OFFSET, testCount);
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
