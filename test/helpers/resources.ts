/**
 * What a library may not leave behind.
 *
 * @module
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { HANG_MS } from './hang.js';

/** Processes, pipes, sockets, threads and timers that keep this process alive, mocha's timer included. */
async function held(): Promise<string[]> {
  await nextTurn();
  return process
    .getActiveResourcesInfo()
    .filter((name) => /Process|Pipe|TCP|TLS|Worker|MessagePort|Timeout/.test(name));
}

/** What is there now and was not before. */
async function heldBeside(before: readonly string[]): Promise<string[]> {
  const more = await held();
  for (const name of before) if (more.includes(name)) more.splice(more.indexOf(name), 1);
  return more;
}

/** How often to look whether what is being closed is gone. */
const LOOKS = 1000;

/** Fails if something that `use` began is left after it, whether it succeeds or not. */
export async function leavingNothing<T>(use: () => Promise<T>): Promise<T> {
  const before = await held();
  const listeners = process.listenerCount('exit');
  try {
    return await use();
  } finally {
    let more = await heldBeside(before);
    for (let look = 0; look < LOOKS && more.length > 0; look++) {
      await sleep(10);
      more = await heldBeside(before);
    }
    assert.deepEqual(more, []);
    assert.equal(process.listenerCount('exit'), listeners);
  }
}

/** Whether a process runs; one that has ended and that nobody waits for does not. */
export function isRunning(pid: number): boolean {
  try {
    const [, state] = /\) (\w) /.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? [];
    return state !== 'Z' && state !== 'X';
  } catch {
    return false;
  }
}

/** Waits until a condition holds, and throws if it never does: a loop that goes on would keep the whole suite from ending. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const hangs = performance.now() + HANG_MS;
  while (!(await condition())) {
    if (performance.now() > hangs) throw new Error(`Expected ${condition.toString()} within ${HANG_MS} ms`);
    await sleep(10);
  }
}
