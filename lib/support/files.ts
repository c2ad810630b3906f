/**
 * Files in and out. A file is written beside its final place and renamed there, so that a reader sees the old content or the
 * new, never a part, also after a crash; every failure is a `FileError`.
 *
 * @module
 */
import { constants } from 'node:fs';
import type { Stats } from 'node:fs';
import { mkdir, open, rename, rm, rmdir, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { createConnection, createServer } from 'node:net';
import { dirname, normalize } from 'node:path';
import { getSystemErrorMap } from 'node:util';
import { FileError } from './errors.js';
import { removeLeftTemporaries, temporaryIn } from './writers.js';

/** The operating system's description of an error: `permission denied`, `no space left on device`, … */
function reason(error: unknown): string {
  const { code, errno, message } = error as NodeJS.ErrnoException;
  if (code === 'EISDIR') return 'is a folder, expected a file';
  return (errno === undefined ? undefined : getSystemErrorMap().get(errno)?.[1]) ?? message;
}

/** Makes the failure of an action on a file a `FileError`. */
export async function withFileErrors<T>(file: string, action: Promise<T>): Promise<T> {
  try {
    return await action;
  } catch (error) {
    throw error instanceof FileError ? error : new FileError(file, reason(error), { cause: error });
  }
}

function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT';
}

async function writeNew(file: string, chunks: Chunks, flush = true): Promise<void> {
  const handle = await open(file, 'wx');
  try {
    for await (const chunk of chunks) await handle.writeFile(chunk);
    if (flush) await handle.sync();
  } finally {
    await handle.close();
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** A folder, a device or a pipe can neither be replaced by a file nor read to its end. */
function refuseOtherThanFile(file: string, found: Stats): void {
  if (found.isDirectory()) throw new FileError(file, 'is a folder, expected a file');
  if (!found.isFile()) throw new FileError(file, 'is not a regular file');
}

/**
 * A file's content in parts.
 *
 * @inline
 */
type Chunks = Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/**
 * Writes a file atomically: a temporary file in the same folder is written, flushed to disk and renamed, and the
 * folder is flushed. On failure the temporary file is removed and the old content is untouched; only if the
 * folder cannot be flushed is the new content in place, and the error says so. Temporary files that killed processes have
 * left in the folder are removed. Memory that may change meanwhile must be copied by the caller.
 *
 * @throws FileError `<file>: no space left on device`, `permission denied`, `folder does not exist`, …
 * @example await writeFileAtomically('run/progress.json', JSON.stringify(progress))
 */
export async function writeFileAtomically(file: string, chunks: Chunks | string): Promise<void> {
  await beside(file, async (temporary) => {
    await writeNew(temporary, bytesOf(chunks));
    await rename(temporary, file);
  });
  const folder = dirname(file);
  await syncFolder(folder).catch((cause: unknown) => {
    throw new FileError(file, `is written, but its folder could not be flushed to disk: ${reason(cause)}`, { cause });
  });
}

const bytesOf = (chunks: Chunks | string): Chunks =>
  typeof chunks === 'string' ? [new TextEncoder().encode(chunks)] : chunks;

/**
 * Like `writeFileAtomically`, without waiting for the disk: a killed process leaves the old content or the new, a machine without
 * power may leave none. For files that a run can write again.
 */
export async function replaceFile(file: string, chunks: Chunks | string): Promise<void> {
  await beside(file, async (temporary) => {
    await writeNew(temporary, bytesOf(chunks), false);
    await rename(temporary, file);
  });
}

/** Refuses a place that `writeFileAtomically` would refuse, before something is computed to be written. */
export async function checkDestination(file: string): Promise<void> {
  await beside(file, async (temporary) => {
    await writeNew(temporary, []);
    await rm(temporary);
  });
}

/** Does something with a temporary file for `file`, which is gone after a failure. */
async function beside(file: string, action: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = temporaryIn(dirname(file));
  try {
    const existing = await stat(file).catch((error: unknown) => {
      if (isMissing(error)) return undefined;
      throw error;
    });
    if (existing) refuseOtherThanFile(file, existing);
    await removeLeftTemporaries(dirname(file));
    await action(temporary);
  } catch (error) {
    // The first failure is reported, even if the clean-up fails too.
    await rm(temporary, { force: true }).catch(() => undefined);
    if (error instanceof FileError) throw error;
    throw new FileError(file, isMissing(error) ? 'folder does not exist' : reason(error), { cause: error });
  }
}

/** Bytes that one call of the operating system reads: less than its limit of 2 GiB. */
const READ_BYTES = 2 ** 26;

/** A regular file that is open. */
export class InputFile {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  readonly #handle: FileHandle;

  constructor(path: string, handle: FileHandle, size: number) {
    this.path = path;
    this.size = size;
    this.#handle = handle;
  }

  /**
   * Fills `into` with the bytes from `position` on.
   *
   * @throws FileError if there are fewer: the file has shrunk since it was opened.
   */
  async read(into: Uint8Array, position: number): Promise<void> {
    for (let done = 0; done < into.length;) {
      const length = Math.min(READ_BYTES, into.length - done);
      const { bytesRead } = await this.#handle.read(into, done, length, position + done);
      if (bytesRead === 0)
        throw new FileError(this.path, `ends at byte ${position + done}: it was cut while it was read`);
      done += bytesRead;
    }
  }
}

/**
 * Opens a regular file for the time of an action.
 *
 * @throws FileError `<file>: file does not exist`, `is a folder, expected a file`, `is not a regular file`, …
 */
export async function withInputFile<T>(file: string, action: (input: InputFile) => T | Promise<T>): Promise<T> {
  let handle: FileHandle | undefined;
  try {
    refuseOtherThanFile(file, await stat(file));
    // A pipe that has come in the file's place must not be waited for.
    handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
    const found = await handle.stat();
    refuseOtherThanFile(file, found);
    return await action(new InputFile(file, handle, found.size));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    throw new FileError(file, isMissing(error) ? 'file does not exist' : reason(error), { cause: error });
  } finally {
    await handle?.close();
  }
}

/** Of files that are read whole, which become one string: V8's longest has 2²⁹ characters. */
const MOST_BYTES = 2 ** 28;

/**
 * Reads a whole file into its own memory.
 *
 * @throws FileError like `withInputFile`, or if the file has more than 256 MiB.
 */
export async function readFileBytes(file: string): Promise<Uint8Array<ArrayBuffer>> {
  return withInputFile(file, async (input) => {
    if (input.size > MOST_BYTES) throw new FileError(file, `has ${input.size} bytes, expected at most ${MOST_BYTES}`);
    const bytes = new Uint8Array(input.size);
    await input.read(bytes, 0);
    return bytes;
  });
}

const NEWLINE = 0x0a;
/** Bytes that `readLines` and `readStart` read at a time. */
const CHUNK_BYTES = 2 ** 20;
/** No line is longer in a text file that is read line by line. */
const MOST_LINE_BYTES = 2 ** 24;

/**
 * Reads a text file of any size line by line, up to its last newline.
 *
 * @param use Receives a line and the number of bytes up to its end; reading stops when it returns false.
 * @throws FileError like `withInputFile`, or if a line has more than 16 MiB.
 */
export async function readLines(
  file: string,
  use: (line: string, end: number) => boolean | Promise<boolean>,
): Promise<void> {
  const decoder = new TextDecoder();
  await withInputFile(file, async (input) => {
    let begun = new Uint8Array(0);
    for (let position = 0; position < input.size;) {
      const bytes = new Uint8Array(begun.length + Math.min(CHUNK_BYTES, input.size - position));
      bytes.set(begun);
      await input.read(bytes.subarray(begun.length), position);
      const first = position - begun.length;
      let start = 0;
      for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
        const more = use(decoder.decode(bytes.subarray(start, end)), first + end + 1);
        if (!(typeof more === 'boolean' ? more : await more)) return;
        start = end + 1;
      }
      begun = bytes.slice(start);
      position = first + bytes.length;
      if (begun.length > MOST_LINE_BYTES) {
        throw new FileError(file, `expected lines of at most ${MOST_LINE_BYTES} bytes, found a longer one`);
      }
    }
  });
}

/**
 * Opens a regular file to append to it; it is made if it does not exist.
 *
 * @param bytes All but the first so many are dropped; default: none is.
 * @throws FileError `<file>: is not a regular file`, `permission denied`, …
 */
export async function openToAppend(file: string, bytes?: number): Promise<FileHandle> {
  // A pipe in the file's place must not be waited for.
  const flags = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK;
  const handle = await withFileErrors(file, open(file, flags));
  try {
    const found = await handle.stat();
    refuseOtherThanFile(file, found);
    // A file that stays as it is keeps its time.
    if (bytes !== undefined && bytes !== found.size) await withFileErrors(file, handle.truncate(bytes));
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** The first bytes of a file, in chunks. */
export async function* readStart(input: InputFile, bytes: number): AsyncGenerator<Uint8Array> {
  for (let position = 0; position < bytes; position += CHUNK_BYTES) {
    const chunk = new Uint8Array(Math.min(CHUNK_BYTES, bytes - position));
    await input.read(chunk, position);
    yield chunk;
  }
}

/**
 * Makes a folder whose parent exists.
 *
 * @returns whether it is new: false if there was a folder of that name.
 * @throws FileError `<folder>: is a file, expected a folder`, `permission denied`, …
 */
export async function makeNewFolder(folder: string): Promise<boolean> {
  return withFileErrors(folder, madeFolder(folder));
}

/**
 * Makes a folder and those above it; one that exists is fine. Node's recursive `mkdir` would never return where a folder can
 * neither be made nor found, as below /proc.
 *
 * @returns the outermost folder that it made, for `removeEmptyFolders`; undefined if all were there.
 * @throws FileError like `makeNewFolder`.
 */
export async function makeFolder(path: string): Promise<string | undefined> {
  const folder = normalize(path);
  try {
    return (await madeFolder(folder)) ? folder : undefined;
  } catch (error) {
    const above = isMissing(error) && dirname(folder) !== folder ? await makeFolder(dirname(folder)) : undefined;
    try {
      return (await makeNewFolder(folder)) ? (above ?? folder) : above;
    } catch (refusal) {
      await removeEmptyFolders(dirname(folder), above);
      throw refusal;
    }
  }
}

/** Removes the folders that `makeFolder` made, from the innermost on, while they are empty. */
export async function removeEmptyFolders(path: string, outermost: string | undefined): Promise<void> {
  if (outermost === undefined) return;
  const folder = normalize(path);
  const removed = await rmdir(folder).then(
    () => true,
    () => false,
  );
  if (removed && folder !== outermost) await removeEmptyFolders(dirname(folder), outermost);
}

async function madeFolder(folder: string): Promise<boolean> {
  try {
    await mkdir(folder);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    const existing = await stat(folder).catch(() => undefined);
    if (existing?.isDirectory()) return false;
    throw new FileError(folder, `is a ${existing ? 'file' : 'symbolic link to nothing'}, expected a folder`);
  }
}

/**
 * Whether a file or folder of that name exists.
 *
 * @throws FileError if the system does not say, for example without permission to look.
 */
export async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (isMissing(error) || (error as NodeJS.ErrnoException).code === 'ENOTDIR') return false;
    throw new FileError(path, reason(error), { cause: error });
  }
}

/** What a lock is named after. */
interface Inode {
  readonly dev: bigint;
  readonly ino: bigint;
}

const lockOf = ({ dev, ino }: Inode): string => `\0deepzero-run-${dev}-${ino}`;

/** Whether a process of this machine, and of this network namespace, has locked a file or folder that exists. */
export async function isLocked(path: string): Promise<boolean> {
  const inode = await withFileErrors(path, stat(path, { bigint: true }));
  // To take the lock for a moment would turn a run away that starts in it.
  return new Promise((resolve) => {
    const socket = createConnection(lockOf(inode));
    const end = (locked: boolean): void => {
      socket.destroy();
      resolve(locked);
    };
    socket.once('connect', () => {
      end(true);
    });
    // Who holds the lock may be too busy to accept a connection: then it is refused in another way.
    socket.once('error', ({ code }: NodeJS.ErrnoException) => {
      end(code !== 'ECONNREFUSED' && code !== 'ENOENT');
    });
  });
}

/**
 * Locks a file or folder against other processes, and against this one. The lock is a socket in Linux's abstract namespace, named
 * after the inode, which the kernel closes with the process, however it ends. Processes in other network namespaces, such as
 * containers, do not see it.
 *
 * @param path For messages.
 * @returns what unlocks it.
 * @throws FileError if it is locked.
 */
export async function lock(path: string, { dev, ino }: Inode): Promise<() => Promise<void>> {
  const server = createServer((socket) => socket.destroy());
  const listening = new Promise<void>((resolve, reject) => {
    server.on('error', (error: NodeJS.ErrnoException) => {
      // Without the socket's error as its cause, which looks like one of the network.
      const problem = 'is in use by another run, of this or another process';
      reject(error.code === 'EADDRINUSE' ? new FileError(path, problem) : error);
    });
    server.listen(lockOf({ dev, ino }), resolve).unref();
  });
  await withFileErrors(path, listening);
  return () =>
    new Promise((resolve) => {
      server.close(() => {
        resolve();
      });
    });
}
