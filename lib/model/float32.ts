/**
 * Floating-point numbers of other widths as float32 (IEEE 754; BF16 is the upper half of float32).
 *
 * @module
 */
import type { Dtype, TensorData } from '../support/safetensors.js';

/** The value of a half-precision number's bits; float32 holds every such value exactly. */
function halfValue(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 31;
  const fraction = (bits & 1023) / 1024;
  if (exponent === 0) return sign * fraction * 2 ** -14;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1 + fraction) * 2 ** (exponent - 15);
}

function fromHalf(from: TensorData, to: Float32Array): void {
  for (let i = 0; i < to.length; i++) to[i] = halfValue(from[i] as number);
}

function fromBfloat(from: TensorData, to: Float32Array): void {
  const bits = new Uint32Array(to.buffer, to.byteOffset, to.length);
  for (let i = 0; i < to.length; i++) bits[i] = (from[i] as number) << 16;
}

function fromDouble(from: TensorData, to: Float32Array): void {
  to.set(from as Float64Array);
}

/** F16 and BF16 convert exactly; F64 is rounded to the nearest float32, ties to even, and beyond 3.4e38 to infinity. */
const CONVERSIONS: Partial<Record<Dtype, (from: TensorData, to: Float32Array) => void>> = {
  F16: fromHalf,
  BF16: fromBfloat,
  F64: fromDouble,
};

/** The types that can be converted. */
export const CONVERTED: readonly Dtype[] = Object.keys(CONVERSIONS) as Dtype[];

/**
 * Fills `to` with equally many numbers of another type, in the form of the safetensors reader.
 *
 * @returns whether any number was rounded, and the index of the first finite number beyond float32's range, or −1.
 */
export function toFloat32(dtype: Dtype, from: TensorData, to: Float32Array): { changed: boolean; tooLarge: number } {
  CONVERSIONS[dtype]!(from, to);
  if (!(from instanceof Float64Array)) return { changed: false, tooLarge: -1 };
  return {
    changed: to.some((value, i) => value !== from[i]),
    tooLarge: to.findIndex((value, i) => !Number.isFinite(value) && Number.isFinite(from[i])),
  };
}

/** The index of the first value that is NaN, infinite or below `least`, or −1. A plain loop: `findIndex` takes eight times as long. */
export function indexOfInvalid(values: Float32Array, least = -Infinity): number {
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (!Number.isFinite(value) || value < least) return i;
  }
  return -1;
}
