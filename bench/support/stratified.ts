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

/** Numbers in [0, 1) by a xorshift generator of 32 bits (Marsaglia, 2003). */
function uniforms(seed: number): () => number {
  let state = Math.imul(seed + 1, 0x9e37_79b1) || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
