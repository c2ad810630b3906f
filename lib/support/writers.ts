/**
 * Which process wrote a file, so that what a killed one left is told from what a running one writes, and its temporary files can be removed.
 *
 * @module
 */
import { randomBytes } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { digest } from './digest.js';

/** `<machine>-<process>-<start>` */
const WRITER_PATTERN = /^([0-9a-f]{16})-(\d+)-(\d+)$/;
/** `.deepzero-<writer>-<random>.tmp` */
const PATTERN = /^\.deepzero-([0-9a-f-]+)-[0-9a-f]{12}\.tmp$/;

/** Age from which a temporary file of another machine or container counts as left: a write takes minutes at most. */
const LEFT_AFTER_MS = 24 * 60 * 60 * 1000;

/** Equal for processes that see each other's numbers: of one boot of one machine, and of one container. */
function machine(): string {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8');
    return digest(new TextEncoder().encode(boot + readlinkSync('/proc/self/ns/pid')));
  } catch {
    return randomBytes(8).toString('hex');
  }
}

/** When a process was started, in ticks since the boot: another process of the same number has another start. */
function startOf(pid: number): string | undefined {
  try {
    const line = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the program's name in parentheses, which may itself hold spaces and parentheses.
    return line.slice(line.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

function isRunning(pid: number, start: string): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  return (startOf(pid) ?? start) === start;
}

const MACHINE = machine();

/** This process, by a name that no other has. */
export const WRITER = `${MACHINE}-${process.pid}-${startOf(process.pid) ?? '0'}`;

/** Whether a process has ended; undefined if it cannot be seen from here: it is of another machine or container, or the name is none. */
export function hasEnded(writer: string): boolean | undefined {
  const [, machine, pid, start] = WRITER_PATTERN.exec(writer) ?? [];
  return machine === MACHINE ? !isRunning(Number(pid), start!) : undefined;
}

/** A new name for a temporary file of this process. */
export function temporaryIn(folder: string): string {
  return join(folder, `.deepzero-${WRITER}-${randomBytes(6).toString('hex')}.tmp`);
}

async function isLeft(file: string, writer: string): Promise<boolean> {
  return hasEnded(writer) ?? Date.now() - (await stat(file)).mtimeMs > LEFT_AFTER_MS;
}

/** Removes the temporary files in a folder whose writers are gone, as far as the system allows. */
export async function removeLeftTemporaries(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    const [, writer] = PATTERN.exec(name) ?? [];
    if (writer === undefined) continue;
    const file = join(folder, name);
    const left = await isLeft(file, writer).catch(() => false);
    if (left) await rm(file, { force: true }).catch(() => undefined);
  }
}
