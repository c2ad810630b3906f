import { uniforms } from './random.js';

/**
 * A sample of coordinates in which every tensor has its proportion, to within one: the list, which is in the order of the
 * tensors, is cut into `count` parts of equal length, and one coordinate is drawn from each.
 */
export function stratified(coordinates: Uint32Array, count: number, seed: number): Uint32Array {
  if (count >= coordinates.length) return coordinates;
  const uniform = uniforms(seed);
  return Uint32Array.from({ length: count }, (_, i) => {
    const first = Math.floor((i * coordinates.length) / count);
    const end = Math.floor(((i + 1) * coordinates.length) / count);
    return coordinates[first + Math.floor(uniform() * (end - first))]!;
  });
}
