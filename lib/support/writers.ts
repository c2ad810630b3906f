/**
 * Temporary files whose names identify the process that writes them, so that those of killed processes can be removed.
 *
 * @module
 */
import { randomBytes } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { digest } from './digest.js';

/** `.deepzero-<machine>-<process>-<start>-<random>.tmp` */
const PATTERN = /^\.deepzero-([0-9a-f]{16})-(\d+)-(\d+)-[0-9a-f]{12}\.tmp$/;

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
const WRITER = `.deepzero-${MACHINE}-${process.pid}-${startOf(process.pid) ?? '0'}-`;

/** A new name for a temporary file of this process. */
export function temporaryIn(folder: string): string {
  return join(folder, `${WRITER}${randomBytes(6).toString('hex')}.tmp`);
}

async function isLeft(file: string, [, writer, pid, start]: readonly string[]): Promise<boolean> {
  if (writer === MACHINE) return !isRunning(Number(pid), start!);
  return Date.now() - (await stat(file)).mtimeMs > LEFT_AFTER_MS;
}

/** Removes the temporary files in a folder whose writers are gone, as far as the system allows. */
export async function removeLeftTemporaries(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    const parts = PATTERN.exec(name);
    if (!parts) continue;
    const file = join(folder, name);
    const left = await isLeft(file, parts).catch(() => false);
    if (left) await rm(file, { force: true }).catch(() => undefined);
  }
}
