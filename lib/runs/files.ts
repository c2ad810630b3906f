/**
 * Files in a run's folder, read by an observer: they may be missing, replaced or cut at any time, and a link among them is not
 * followed, since it could lead out of the folder.
 *
 * @module
 */
import { constants } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';

import { FileError } from '../support/errors.js';
import { withFileErrors } from '../support/files.js';

/** `O_NONBLOCK`: a pipe in the file's place must not be waited for. */
const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** What tells two states of a file apart. */
export interface Stamp {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size: bigint;
  readonly mtimeNs: bigint;
}

/** Whether a file is as it was. */
export function isSame(one: Stamp | undefined, other: Stamp | undefined): boolean {
  if (!one || !other) return one === other;
  return one.ino === other.ino && one.dev === other.dev && one.size === other.size && one.mtimeNs === other.mtimeNs;
}

/**
 * Opens a regular file that is no link, for the time of an action.
 *
 * @returns what the action returns; undefined if there is no such file.
 * @throws FileError if it is a link, a folder or a pipe, or cannot be read.
 */
export async function withRegularFile<T>(
  file: string,
  action: (handle: FileHandle, found: BigIntStats) => Promise<T>,
): Promise<T | undefined> {
  let handle: FileHandle;
  try {
    handle = await open(file, FLAGS);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    if (code === 'ELOOP' || code === 'EMLINK') throw new FileError(file, 'is a symbolic link, expected a file');
    return await withFileErrors(file, Promise.reject(error as Error));
  }
  try {
    const found = await handle.stat({ bigint: true });
    if (!found.isFile()) throw new FileError(file, 'is not a regular file');
    return await withFileErrors(file, action(handle, found));
  } finally {
    await handle.close();
  }
}

/** Fills as much of `into` as the file has from `position` on. */
export async function readAt(handle: FileHandle, into: Uint8Array, position: number): Promise<Uint8Array> {
  let done = 0;
  while (done < into.length) {
    const { bytesRead } = await handle.read(into, done, into.length - done, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return into.subarray(0, done);
}
