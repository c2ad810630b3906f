/**
 * The parameters of a black box: their tensors, bounds and resolution.
 *
 * @module
 */
import { InvalidArgumentError, show } from '../support/errors.js';
import { expected, expectedOption, isObject } from '../support/schema.js';
import type { Reals } from '../support/reals.js';
import type { ParameterTensor } from './objective.js';

/** Numbers, or lists of them, or lists of lists … of equal lengths. */
export type NestedNumbers = number | ArrayLike<number> | readonly NestedNumbers[];

/** A point: a list of numbers, or tensors by name. */
export type StartPoint = ArrayLike<number> | Readonly<Record<string, NestedNumbers>>;

/** One number for all parameters, or one for each. */
export type PerParameter = number | ArrayLike<number>;

/** The least and the greatest value. */
export type Bounds = readonly [low: PerParameter, high: PerParameter];

/** The parameters that `x0` describes; a list is a tensor `x`. */
export function startOf(x0: StartPoint): { parameters: Float64Array; tensors: ParameterTensor[] } {
  const named = isList(x0) || !isObject(x0) ? { x: x0 } : x0;
  const tensors: ParameterTensor[] = [];
  const numbers: number[] = [];
  for (const [name, values] of Object.entries<NestedNumbers>(named as Record<string, NestedNumbers>)) {
    const path = name === 'x' && named !== x0 ? 'x0' : `x0.${name}`;
    const offset = numbers.length;
    const shape = append(values, path, numbers);
    if (shape.length === 0 && named !== x0) throw expected('x0', 'a list of numbers or an object of tensors', x0);
    const size = numbers.length - offset;
    if (size === 0) throw expected(path, 'a list with at least one number', values);
    tensors.push({ name, shape, offset, size, maskable: true });
  }
  if (tensors.length === 0) throw expected('x0', 'a list of numbers or an object of tensors', x0);
  return { parameters: Float64Array.from(numbers), tensors };
}

const isList = (value: unknown): value is ArrayLike<unknown> =>
  Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));

/** Appends all numbers. @returns the shape. */
function append(values: NestedNumbers, path: string, numbers: number[]): number[] {
  if (!isList(values)) {
    if (typeof values !== 'number' || !Number.isFinite(values)) throw expected(path, 'a finite number', values);
    numbers.push(values);
    return [];
  }
  const parts = Array.from(values as ArrayLike<NestedNumbers>, (value, i) => append(value, `${path}[${i}]`, numbers));
  const [inner = []] = parts;
  const odd = parts.findIndex((shape) => shape.join() !== inner.join());
  if (odd >= 0) throw expected(`${path}[${odd}]`, `of the shape of ${path}[0], [${inner.join(', ')}]`, values[odd]);
  return [parts.length, ...inner];
}

/** Bounds and resolution of parameters. */
export class Space {
  readonly #low: Float64Array;
  readonly #high: Float64Array;
  readonly #resolution: Float64Array;
  /** How many times the resolution the least and the greatest value are that the box can take. */
  readonly #least: Float64Array;
  readonly #most: Float64Array;
  readonly count: number;

  /** @throws InvalidArgumentError naming the option `bounds` or `resolution`. */
  constructor(count: number, bounds: Bounds | undefined, resolution: PerParameter) {
    this.count = count;
    if (bounds !== undefined && (bounds as readonly unknown[]).length !== 2) {
      throw expectedOption('bounds', '[low, high], each a number or a number for every parameter', show(bounds));
    }
    const [low, high] = bounds ?? [-Infinity, Infinity];
    this.#low = spread(low, count, 'bounds[0]');
    this.#high = spread(high, count, 'bounds[1]');
    this.#resolution = spread(resolution, count, 'resolution');
    this.#least = this.#low.map((low, i) => -wholeBelow(-low / this.#resolution[i]!));
    this.#most = this.#high.map((high, i) => wholeBelow(high / this.#resolution[i]!));
    this.#low.forEach((least, i) => {
      const most = this.#high[i]!;
      if (!(least < most))
        throw expectedOption(
          'bounds',
          'low < high for every parameter, [lows, highs]',
          `${least}, ${most} for parameter ${i}`,
        );
      const coarse = this.#resolution[i]!;
      if (!(coarse >= 0 && coarse < Infinity)) throw expectedOption('resolution', 'finite and >= 0', String(coarse));
      if (coarse > 0 && this.#least[i]! > this.#most[i]!) {
        throw expectedOption('resolution', `finer than the bounds of parameter ${i}`, String(coarse));
      }
    });
  }

  /** Whether it leaves every point as it is. */
  get isFree(): boolean {
    const isUnbounded = this.#low.every((x) => x === -Infinity) && this.#high.every((x) => x === Infinity);
    return isUnbounded && this.#resolution.every((x) => x === 0);
  }

  /** The nearest value within the bounds, and at least `margin` away from them. */
  clip(i: number, value: number, margin = 0): number {
    return Math.min(Math.max(value, this.#low[i]! + margin), this.#high[i]! - margin);
  }

  /** The largest margin that the bounds of a parameter leave. */
  room(i: number): number {
    return this.#high[i]! / 2 - this.#low[i]! / 2;
  }

  /** The nearest value that the box can take: within the bounds, a multiple of the resolution. */
  round(i: number, value: number): number {
    const step = this.#resolution[i]!;
    if (step === 0) return this.clip(i, value);
    const times = Math.min(Math.max(Math.round(value / step), this.#least[i]!), this.#most[i]!);
    // A multiple that is a bound may be rounded to the other side of it.
    return this.clip(i, step * times);
  }

  /** Moves a point into the bounds. */
  project(point: Reals): void {
    for (let i = 0; i < point.length; i++) point[i] = this.clip(i, point[i]!);
  }

  /** Refuses a start outside the bounds. */
  checkStart(point: Float64Array): void {
    point.forEach((value, i) => {
      if (this.clip(i, value) === value) return;
      const range = `from ${this.#low[i]!} to ${this.#high[i]!}, its bounds`;
      throw new InvalidArgumentError(`Expected x0[${i}] to be ${range}, received ${value}`);
    });
  }
}

/** The largest whole number that a quotient reaches, where it falls short of it by no more than rounding. */
function wholeBelow(quotient: number): number {
  const nearest = Math.round(quotient);
  return nearest - quotient <= 4 * Number.EPSILON * Math.abs(quotient) ? nearest : Math.floor(quotient);
}

function spread(value: PerParameter, count: number, what: string): Float64Array {
  if (typeof value === 'number') return new Float64Array(count).fill(value);
  if (isList(value) && value.length === count) return Float64Array.from(value);
  throw new InvalidArgumentError(`Expected ${what} to be a number or ${count} numbers, received ${show(value)}`);
}
