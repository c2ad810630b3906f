/**
 * Which folders hold runs, and what they are called.
 *
 * @module
 */
import { lstat, readdir, stat } from 'node:fs/promises';
import { join, resolve as absolutePath } from 'node:path';

import { FileError } from '../support/errors.js';
import { withFileErrors } from '../support/files.js';
import { RunFolder } from '../training/folder.js';

/** The options of a run of the command. */
export const configIn = (folder: string): string => join(folder, 'config.json');

/** Files of which a run's folder has at least one. */
function filesOf(path: string): string[] {
  const { log, about, status, checkpoint } = new RunFolder(path);
  return [log, about, status, checkpoint, configIn(path)];
}

/** A run's folder, and when something was last written to it, in milliseconds since 1970. */
export interface FoundRun {
  readonly path: string;
  readonly changed: number;
}

/** When a file of a run was last written in a folder; undefined if it holds none. */
async function changedIn(folder: string): Promise<number | undefined> {
  const times = await Promise.all(
    filesOf(folder).map((file) =>
      lstat(file).then(
        (found) => (found.isFile() ? found.mtimeMs : undefined),
        () => undefined,
      ),
    ),
  );
  const known = times.filter((time) => time !== undefined);
  return known.length === 0 ? undefined : Math.max(...known);
}

/**
 * The runs in a folder, those that changed last first; none if there is no such folder. Links are not followed: they could
 * lead anywhere.
 *
 * @throws FileError if the folder cannot be read.
 */
export async function runsIn(folder: string): Promise<FoundRun[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    return withFileErrors(folder, Promise.reject(error as Error));
  });
  const runs: FoundRun[] = [];
  for (const entry of entries) {
    if (!entry.isDirectory()) continue;
    const path = join(folder, entry.name);
    const changed = await changedIn(path);
    if (changed !== undefined) runs.push({ path, changed });
  }
  return runs.sort((a, b) => b.changed - a.changed || (a.path < b.path ? -1 : 1));
}

/**
 * The folders of runs among those given and directly in them, each once.
 *
 * @throws FileError if one that is given cannot be read.
 */
export async function findRuns(folders: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const folder of folders) {
    await checkFolder(folder, 'a folder');
    if ((await changedIn(folder)) !== undefined) found.push(folder);
    found.push(...(await runsIn(folder)).map(({ path }) => path));
  }
  return [...new Map(found.map((path) => [absolutePath(path), path])).values()];
}

/**
 * Refuses what is not the folder of a run.
 *
 * @throws FileError
 */
export async function checkRun(folder: string): Promise<void> {
  await checkFolder(folder, "a run's folder");
  if ((await changedIn(folder)) !== undefined) return;
  throw new FileError(folder, "expected a run's folder, which holds log.jsonl; deepzero train writes one into runs/");
}

async function checkFolder(folder: string, what: string): Promise<void> {
  const found = await withFileErrors(folder, stat(folder));
  if (!found.isDirectory()) throw new FileError(folder, `is a file, expected ${what}`);
}

/** Names of runs: the last parts of their paths, as many as tell them apart. */
export function namesOf(paths: readonly string[]): string[] {
  const parts = paths.map((path) => absolutePath(path).split('/').slice(1));
  const names = parts.map((own) => own.at(-1)!);
  for (let count = 2; ; count++) {
    const owners = new Map<string, number>();
    for (const name of names) owners.set(name, (owners.get(name) ?? 0) + 1);
    const open = names.flatMap((name, i) => (owners.get(name)! > 1 && parts[i]!.length >= count ? [i] : []));
    if (open.length === 0) return names.map((name) => name || '/');
    for (const i of open) names[i] = parts[i]!.slice(-count).join('/');
  }
}
