import { createHash } from 'node:crypto';

/** The first 64 bits of SHA-256, in hexadecimal. */
export function digest(...arrays: (Uint8Array | Uint32Array | Float32Array | Float64Array | undefined)[]): string {
  const hash = createHash('sha256');
  for (const array of arrays) {
    if (array) hash.update(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
  }
  return hash.digest('hex').slice(0, 16);
}
