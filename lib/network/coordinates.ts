/**
 * Coordinates of the parameter vector, as flat indices and by name.
 *
 * @module
 */
import * as check from '../support/check.js';
import type { CompiledNetwork, TensorInfo } from './compile.js';

/** One entry of a parameter tensor: its name, and the flat index in it in PyTorch's order (OIHW in convolutions). */
export interface Coordinate {
  readonly name: string;
  readonly index: number;
}

/** Where a coordinate lies in the flat parameter vector. */
export function flatIndex({ parameters }: CompiledNetwork, coordinate: Coordinate): number {
  check.object(coordinate, 'a coordinate');
  const { name, index } = coordinate;
  check.string(name, "the coordinate's name");
  const tensor = parameters.find((info) => info.name === name);
  if (!tensor) throw unknownTensor(name, parameters);
  return tensor.offset + check.integer(index, `the index into ${name}`, 0, tensor.size - 1);
}

/** The coordinate that lies at a flat index. */
export function coordinateAt({ parameters, parameterCount }: CompiledNetwork, flat: number): Coordinate {
  check.integer(flat, 'the parameter index', 0, parameterCount - 1);
  const tensor = parameters.findLast(({ offset }) => offset <= flat) as TensorInfo;
  return { name: tensor.name, index: flat - tensor.offset };
}

/** A coordinate in a message: `conv1.weight[5]`. */
export function nameOf({ name, index }: Coordinate): string {
  return `${name}[${index}]`;
}

/** Refuses anything but a list that could be of flat indices, at least one. */
export function checkIndexList(coordinates: unknown): Uint32Array {
  if (!(coordinates instanceof Uint32Array) || coordinates.length === 0) {
    throw check.expected('coordinates', 'a Uint32Array with at least one flat parameter index', coordinates);
  }
  return coordinates;
}

/** Refuses anything but distinct flat indices into a network's parameters, at least one. */
export function checkCoordinates({ parameterCount }: CompiledNetwork, list: unknown): Uint32Array {
  const coordinates = checkIndexList(list);
  const seen = new Uint8Array(parameterCount);
  coordinates.forEach((flat, i) => {
    if (flat >= parameterCount)
      throw check.expected(`coordinates[${i}]`, `below ${parameterCount}, the parameters`, flat);
    if (seen[flat]) throw check.expected(`coordinates[${i}]`, 'different from all before it', flat);
    seen[flat] = 1;
  });
  return coordinates;
}

/** The error for a tensor's name that is not known, with the nearest one that is. */
export function unknownTensor(name: string, known: readonly { name: string }[]): check.InvalidArgumentError {
  const names = known.map((info) => info.name);
  return new check.InvalidArgumentError(`Unknown tensor ${JSON.stringify(name)}${check.didYouMean(name, names)}`);
}
