/**
 * What scripts have in common: running programs and finding files.
 *
 * @module
 */
import { spawnSync, type SpawnSyncOptions } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The package's folder. */
export const root: string = fileURLToPath(new URL('..', import.meta.url));

/** Runs a program in the package's folder with its output shown, and throws unless it succeeds. */
export function run(command: string, args: readonly string[], options: SpawnSyncOptions = {}): void {
  const { status, error, signal } = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options });
  if (error) throw error;
  if (status !== 0) throw new Error(`${[command, ...args].join(' ')} ended with ${signal ?? `status ${status}`}`);
}

/** Runs a program and returns what it printed, and throws unless it succeeds. */
export function outputOf(command: string, args: readonly string[], options: SpawnSyncOptions = {}): string {
  const settings: SpawnSyncOptions = { cwd: root, stdio: ['ignore', 'pipe', 'inherit'], ...options };
  const { status, error, stdout } = spawnSync(command, args, { ...settings, encoding: 'utf8' });
  if (error) throw error;
  if (status !== 0) throw new Error(`${[command, ...args].join(' ')} ended with status ${status}\n${stdout}`);
  return stdout;
}

/** Runs a script's body: an error is its message alone and exit code 1. */
export async function script(body: () => void | Promise<void>): Promise<void> {
  try {
    await body();
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}

/** The files in a folder of the package and below, as paths from the package's folder; none if it does not exist. */
export function filesUnder(folder: string): string[] {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)));
}
