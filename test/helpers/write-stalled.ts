/**
 * A process that begins to write the file of its first argument, says so and never ends.
 *
 * @module
 */
import { open } from 'node:fs/promises';

import { writeFileAtomically } from '../../lib/support/files.js';

const [, , file = ''] = process.argv;
const handle = await open('/dev/null');
const prototype = Object.getPrototypeOf(handle) as { sync: () => Promise<void> };
prototype.sync = () => {
  console.log('writing');
  return new Promise(() => setInterval(() => undefined, 1000));
};
await writeFileAtomically(file, 'half');
