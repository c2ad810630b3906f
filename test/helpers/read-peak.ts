/**
 * A process that reads the safetensors file of its first argument, and prints the most memory that it had and the error's
 * message, if any.
 *
 * @module
 */
import { readSafetensors } from '../../lib/support/safetensors.js';

const [, , file = ''] = process.argv;
const message = await readSafetensors(file).then(
  () => undefined,
  (error: unknown) => (error as Error).message,
);
console.log(JSON.stringify({ bytes: process.resourceUsage().maxRSS * 1024, message }));
