/**
 * Coordinates of the parameter vector, as flat indices and by name.
 *
 * @module
 */
import { didYouMean, InvalidArgumentError, quote } from '../support/errors.js';
import { checked, expected, expectedOption, integer, isObject, string } from '../support/schema.js';
import type { CompiledNetwork, TensorInfo } from './compile.js';

/** One entry of a parameter tensor: the tensor's name, and the flat index into it in PyTorch's order (OIHW in convolutions). */
export interface Coordinate {
  /** The tensor's name: `conv1.weight`. */
  readonly name: string;
  /** The flat index into the tensor. */
  readonly index: number;
}

/** The index of a coordinate in the flat parameter vector. */
export function flatIndex({ parameters }: CompiledNetwork, coordinate: Coordinate): number {
  if (!isObject(coordinate)) throw expected('a coordinate', 'an object of name and index', coordinate);
  const { name, index } = coordinate;
  checked(string, name, "the coordinate's name");
  const tensor = parameters.find((info) => info.name === name);
  if (!tensor) throw unknownTensor(name, parameters);
  return tensor.offset + checked(integer(0, tensor.size - 1), index, `the index into ${name}`);
}

/** The coordinate at a flat index. */
export function coordinateAt({ parameters, parameterCount }: CompiledNetwork, flat: number): Coordinate {
  checked(integer(0, parameterCount - 1), flat, 'the parameter index');
  const tensor = parameters.findLast(({ offset }) => offset <= flat) as TensorInfo;
  return { name: tensor.name, index: flat - tensor.offset };
}

/** A coordinate in a message: `conv1.weight[5]`. */
export function nameOf({ name, index }: Coordinate): string {
  return `${name}[${index}]`;
}

/** Refuses flat indices that occur twice or lie beyond a network's parameters. */
export function checkCoordinates(parameterCount: number, coordinates: Uint32Array): Uint32Array {
  const seen = new Uint8Array(parameterCount);
  coordinates.forEach((flat, i) => {
    if (flat >= parameterCount) {
      throw expectedOption(`coordinates[${i}]`, `below ${parameterCount}, the number of parameters`, String(flat));
    }
    if (seen[flat])
      throw new InvalidArgumentError(`Expected coordinates to be unique, received ${flat} again at index ${i}`);
    seen[flat] = 1;
  });
  return coordinates;
}

/** The error for an unknown tensor's name, with the nearest known one. */
export function unknownTensor(name: string, known: readonly { name: string }[]): InvalidArgumentError {
  const names = known.map((info) => info.name);
  return new InvalidArgumentError(`Unknown tensor ${quote(name)}${didYouMean(name, names)}`);
}
