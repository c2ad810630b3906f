/**
 * Which folders hold runs.
 *
 * @module
 */
import { lstat, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { FileError } from '../support/errors.js';
import { withFileErrors } from '../support/files.js';

/** Files of which a run's folder has at least one. */
const FILES = ['log.jsonl', 'run.json', 'status.json', 'config.json'] as const;

/** A run's folder, and when something was last written to it, in milliseconds since 1970. */
export interface FoundRun {
  readonly path: string;
  readonly changed: number;
}

/** When a file of a run was last written in a folder; undefined if it holds none. */
export async function runIn(folder: string): Promise<number | undefined> {
  const times = await Promise.all(
    FILES.map((name) =>
      lstat(join(folder, name)).then(
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
export async function findRuns(folder: string): Promise<FoundRun[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    return withFileErrors(folder, Promise.reject(error as Error));
  });
  const runs: FoundRun[] = [];
  for (const entry of entries) {
    if (!entry.isDirectory()) continue;
    const path = join(folder, entry.name);
    const changed = await runIn(path);
    if (changed !== undefined) runs.push({ path, changed });
  }
  return runs.sort((a, b) => b.changed - a.changed || (a.path < b.path ? -1 : 1));
}

/**
 * Refuses what is not the folder of a run.
 *
 * @throws FileError
 */
export async function checkRun(folder: string): Promise<void> {
  const found = await withFileErrors(folder, stat(folder));
  if (!found.isDirectory()) throw new FileError(folder, "is a file, expected a run's folder");
  if ((await runIn(folder)) !== undefined) return;
  throw new FileError(folder, "expected a run's folder, which holds log.jsonl");
}
