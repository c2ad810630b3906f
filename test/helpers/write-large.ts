/**
 * A process that writes one megabyte to the file of its first argument and prints the error's message, if any: run
 * where that does not fit.
 *
 * @module
 */
import { writeFileAtomically } from '../../lib/support/files.js';

const [, , file = ''] = process.argv;
try {
  await writeFileAtomically(file, [new Uint8Array(2 ** 19), new Uint8Array(2 ** 19)]);
} catch (error) {
  console.log((error as Error).message);
}
