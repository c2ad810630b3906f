/**
 * A process that reads the safetensors file of its first argument, and prints the most memory that it had and the error's
 * message, if any.
 *
 * @module
 */
import { readFileSync } from 'node:fs';
import { readSafetensors } from '../../lib/support/safetensors.js';

const [, , file = ''] = process.argv;
const message = await readSafetensors(file).then(
  () => undefined,
  (error: unknown) => (error as Error).message,
);
// Not resourceUsage().maxRSS, which counts the parent's memory at the fork too.
const [, kilobytes] = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))!;
console.log(JSON.stringify({ bytes: Number(kilobytes) * 1024, message }));
