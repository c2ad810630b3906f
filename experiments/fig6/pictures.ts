/**
 * Pictures of the vorticity of wakes, as SVG.
 *
 * @module
 */
import { deflateSync } from 'node:zlib';

import { ACROSS, VELOCITIES } from '../../bench/support/wake.js';

/** A column of pictures is one time, a row one way to compute it. */
export interface Pictures {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly { readonly name: string; readonly velocities: readonly Float32Array[] }[];
}

const ALONG = 2 * ACROSS;
/** Of the box in its own units. */
const CELL = 100 / ACROSS;
/** Corners of cells that have four neighbours. */
const [COLUMNS, ROWS] = [ALONG - 1, ACROSS - 1];
const [SCALE, LEFT, TOP, GAP] = [4, 170, 76, 12];
const GREY = [120, 126, 133] as const;

/** ∂v/∂x − ∂u/∂y at inner corners, [across][along]; velocities u and v as in a state of the solver. */
export function vorticity(velocities: Float32Array): Float32Array {
  const u = (i: number, j: number): number => velocities[i * ACROSS + j]!;
  const v = (i: number, j: number): number => velocities[VELOCITIES[0] + i * (ACROSS + 1) + j]!;
  const result = new Float32Array(COLUMNS * ROWS);
  for (let j = 1; j <= ROWS; j++) {
    for (let i = 1; i <= COLUMNS; i++) {
      result[(j - 1) * COLUMNS + i - 1] = (v(i, j) - v(i - 1, j) - u(i, j) + u(i, j - 1)) / CELL;
    }
  }
  return result;
}

/** White at 0, red above and blue below; full at ±`limit`. */
function colourOf(value: number, limit: number): readonly [number, number, number] {
  const part = Math.min(1, Math.abs(value) / limit);
  const [strong, weak] = [Math.round(255 - 60 * part), Math.round(255 - 225 * part)];
  return value > 0 ? [strong, weak, weak] : [weak, weak, strong];
}

/** A PNG of one field; the cylinder is grey. */
function pngOf(field: Float32Array, limit: number): Buffer {
  const lines = Array.from({ length: ROWS }, (_, row) => {
    const pixels = Array.from({ length: COLUMNS }, (__, column) => {
      const [x, y] = [(column + 1) * CELL - 50, (row + 1) * CELL - 50];
      return x * x + y * y <= 100 ? GREY : colourOf(field[row * COLUMNS + column]!, limit);
    });
    return [0, ...pixels.flat()];
  });
  const header = Buffer.alloc(13);
  header.writeUInt32BE(COLUMNS, 0);
  header.writeUInt32BE(ROWS, 4);
  // 8 bits of red, green and blue.
  header.set([8, 2, 0, 0, 0], 8);
  const data = deflateSync(Buffer.from(lines.flat()));
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', data), chunk('IEND', Buffer.alloc(0))]);
}

function chunk(type: string, data: Buffer): Buffer {
  const content = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const result = Buffer.alloc(content.length + 8);
  result.writeUInt32BE(data.length, 0);
  content.copy(result, 4);
  result.writeUInt32BE(crc(content), content.length + 4);
  return result;
}

/** The checksum of PNG (ISO 3309). */
function crc(bytes: Uint8Array): number {
  let rest = 0xffffffff;
  for (const byte of bytes) {
    rest ^= byte;
    for (let bit = 0; bit < 8; bit++) rest = (rest >>> 1) ^ (rest & 1 ? 0xedb88320 : 0);
  }
  return (rest ^ 0xffffffff) >>> 0;
}

/** All pictures in one scale of colours: that of the first row, the reference. */
export function picturesSvg({ title, columns, rows }: Pictures): string {
  const fields = rows.map(({ velocities }) => velocities.map(vorticity));
  const sizes = Float32Array.from(fields[0]!.flatMap((field) => [...field.map(Math.abs)])).sort();
  const limit = sizes[Math.floor(0.98 * (sizes.length - 1))]!;
  const [width, height] = [COLUMNS * SCALE, ROWS * SCALE];
  const at = (row: number, column: number): string =>
    `x="${LEFT + column * (width + GAP)}" y="${TOP + row * (height + GAP)}"`;
  const images = fields.flatMap((times, row) =>
    times.map((field, column) => {
      const data = pngOf(field, limit).toString('base64');
      return `<image ${at(row, column)} width="${width}" height="${height}" style="image-rendering:pixelated" href="data:image/png;base64,${data}"/>`;
    }),
  );
  const names = rows.map(
    ({ name }, row) =>
      `<text x="${LEFT - 12}" y="${TOP + row * (height + GAP) + height / 2}" text-anchor="end">${name}</text>`,
  );
  const times = columns.map(
    (name, column) =>
      `<text x="${LEFT + column * (width + GAP) + width / 2}" y="${TOP - 10}" text-anchor="middle">${name}</text>`,
  );
  const [right, bottom] = [LEFT + columns.length * (width + GAP), TOP + rows.length * (height + GAP)];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${right + 8}" height="${bottom + 26}" font-family="sans-serif" font-size="13" fill="#1f2933">`,
    '<rect width="100%" height="100%" fill="#ffffff"/>',
    `<text x="20" y="32" font-size="17" font-weight="bold">${title}</text>`,
    ...[...times, ...names, ...images],
    `<text x="${LEFT}" y="${bottom + 14}" font-size="11" fill="#52606d">vorticity, from −${limit.toPrecision(2)} (blue) to ${limit.toPrecision(2)} (red); the flow comes from the left</text>`,
    '</svg>\n',
  ].join('\n');
}
