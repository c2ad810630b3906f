/**
 * Whole files in and out. A file is written beside its final place and renamed there, so that a reader sees
 * the old content or the new, never a part, also after a crash; every failure is a `FileError`.
 *
 * @module
 */
import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm, rmdir, stat } from 'node:fs/promises';
import { basename, dirname, join, normalize } from 'node:path';
import { getSystemErrorMap } from 'node:util';
import { FileError } from './check.js';

/** What the operating system said, in its own words: `permission denied`, `no space left on device`, … */
function reason(error: unknown): string {
  const { code, errno, message } = error as NodeJS.ErrnoException;
  if (code === 'EISDIR') return 'is a folder, expected a file';
  return (errno === undefined ? undefined : getSystemErrorMap().get(errno)?.[1]) ?? message;
}

function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT';
}

async function writeAndSync(file: string, chunks: readonly Uint8Array[]): Promise<void> {
  const handle = await open(file, 'wx');
  try {
    for (const chunk of chunks) await handle.writeFile(chunk);
    await handle.sync();
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

/** Before the random part and behind it: what `writeFileAtomically` calls its temporary file. */
function temporaryName(file: string): [string, string] {
  return [`.${basename(file).slice(0, 100)}.`, '.tmp'];
}

/** Renaming over a folder, a device or a pipe would replace it or fail late. */
async function refuseWhatIsNoFile(file: string): Promise<void> {
  const existing = await stat(file).catch((error: unknown) => {
    if (isMissing(error)) return undefined;
    throw error;
  });
  if (existing?.isDirectory()) throw new FileError(file, 'is a folder, expected a file');
  if (existing && !existing.isFile()) throw new FileError(file, 'is not a regular file');
}

/**
 * Writes a file atomically: a temporary file in the same folder is written, flushed to disk and renamed, and the
 * folder is flushed. On failure the temporary file is removed and what stood there before is untouched; only if the
 * folder cannot be flushed is the new content in place, and the error says so. Memory that may change meanwhile must be
 * copied by the caller.
 *
 * @throws FileError `<file>: no space left on device`, `permission denied`, `folder does not exist`, …
 * @example await writeFileAtomically('run/progress.json', JSON.stringify(progress))
 */
export async function writeFileAtomically(file: string, chunks: readonly Uint8Array[] | string): Promise<void> {
  await beside(file, async (temporary) => {
    await writeAndSync(temporary, typeof chunks === 'string' ? [new TextEncoder().encode(chunks)] : chunks);
    await rename(temporary, file);
  });
  const folder = dirname(file);
  await syncFolder(folder).catch((cause: unknown) => {
    throw new FileError(file, `is written, but its folder could not be flushed to disk: ${reason(cause)}`, { cause });
  });
}

/** Refuses a place that `writeFileAtomically` would refuse, before something is computed to be written. */
export async function checkDestination(file: string): Promise<void> {
  await beside(file, async (temporary) => {
    await writeAndSync(temporary, []);
    await rm(temporary);
  });
}

/** Does something with a temporary file for `file`, which is gone after a failure. */
async function beside(file: string, action: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = join(dirname(file), temporaryName(file).join(randomBytes(6).toString('hex')));
  try {
    await refuseWhatIsNoFile(file);
    await action(temporary);
  } catch (error) {
    // The first failure is the one to report, whatever becomes of the clean-up.
    await rm(temporary, { force: true }).catch(() => undefined);
    if (error instanceof FileError) throw error;
    throw new FileError(file, isMissing(error) ? 'folder does not exist' : reason(error), { cause: error });
  }
}

/** Removes the temporary files that killed processes have left of a file that nobody is writing now. */
export async function removeTemporaries(file: string): Promise<void> {
  const folder = dirname(file);
  const [begin, end] = temporaryName(file);
  for (const name of await readdir(folder).catch(() => [])) {
    const random = name.startsWith(begin) && name.endsWith(end) ? name.slice(begin.length, -end.length) : '';
    if (/^[0-9a-f]{12}$/.test(random)) await rm(join(folder, name), { force: true }).catch(() => undefined);
  }
}

/** The parts one after another, in memory of their own (offset 0 of its buffer). */
export function concatenate(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

/**
 * Reads a whole file of any size, for which Node's `readFile` takes 2 GiB at most, into memory of its own.
 *
 * @throws FileError `<file>: file does not exist`, `is a folder, expected a file`, `permission denied`, …
 */
export async function readFileBytes(file: string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    const parts: Uint8Array[] = [];
    for await (const part of createReadStream(file, { highWaterMark: 2 ** 20 })) parts.push(part as Uint8Array);
    return concatenate(parts);
  } catch (error) {
    throw new FileError(file, isMissing(error) ? 'file does not exist' : reason(error), { cause: error });
  }
}

/**
 * Makes a folder whose parent exists.
 *
 * @returns whether it is new: false if there was a folder of that name.
 * @throws FileError `<folder>: is a file, expected a folder`, `permission denied`, …
 */
export async function makeNewFolder(folder: string): Promise<boolean> {
  return madeFolder(folder).catch((error: unknown) => {
    throw error instanceof FileError ? error : new FileError(folder, reason(error), { cause: error });
  });
}

/**
 * Makes a folder and those above it; one that exists is fine. Node's recursive `mkdir` would never return where a folder can
 * neither be made nor found, as below /proc.
 *
 * @returns the outermost folder that it made, for `removeEmptyFolders`; undefined if all were there.
 * @throws FileError as of `makeNewFolder`.
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

/** Removes what `makeFolder` made of a folder and those above it, as far as nothing is in them. */
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
 * @throws FileError if that cannot be told: what cannot be read is not taken for what is not there.
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

/** @throws FileError if it cannot be read or is not JSON. */
export async function readJson(file: string): Promise<unknown> {
  const content = new TextDecoder().decode(await readFileBytes(file));
  try {
    return JSON.parse(content);
  } catch (cause) {
    throw new FileError(file, `is not JSON: ${(cause as Error).message}`, { cause });
  }
}
