/**
 * Imported before a program, it ends that after the STOP_AFTER-th line of its training logs, by the signal STOP_BY.
 *
 * @module
 */
import { open } from 'node:fs/promises';

const { STOP_AFTER, STOP_BY } = process.env;
const handle = await open('/dev/null');
const prototype = Object.getPrototypeOf(handle) as { appendFile: (...args: unknown[]) => Promise<void> };
const { appendFile } = prototype;
let lines = 0;
prototype.appendFile = async function (...args) {
  await appendFile.apply(this, args);
  if (++lines === Number(STOP_AFTER)) process.kill(process.pid, STOP_BY);
};
await handle.close();
