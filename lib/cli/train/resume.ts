/**
 * The folder of a run that `deepzero train --resume` continues, why it cannot, and the command line that does.
 *
 * @module
 */
import { findRuns } from '../../runs/find.js';
import { FileError } from '../../support/errors.js';
import { exists, isLocked } from '../../support/files.js';
import { RunFolder } from '../../training/folder.js';
import { readAbout } from '../../training/record/about.js';
import type { RunConfig } from './settings.js';
import { configPath, readConfig } from './settings.js';

/**
 * The options and inputs of the run in a folder.
 *
 * @throws FileError if it holds no run of the command.
 */
export async function configOf(folder: RunFolder): Promise<RunConfig> {
  const { path } = folder;
  const file = configPath(folder);
  if (await exists(file)) return readConfig(file);
  const found = await findRuns([path]);
  if (found.includes(path)) {
    throw new FileError(
      path,
      'holds the run of a program, without config.json: start that program again to continue it',
    );
  }
  const [run] = found;
  if (run === undefined) throw new FileError(path, "expected a run's folder, which holds config.json");
  throw new FileError(path, `holds folders of runs, expected that of one, such as ${quoted(run)}`);
}

/**
 * Opens the folder of a run that exists.
 *
 * @throws FileError like `RunFolder.open`; of a locked one it names the process that started the run last.
 */
export async function openAgain({ path, about }: RunFolder): Promise<RunFolder> {
  try {
    return await RunFolder.open(path);
  } catch (error) {
    if (!(error instanceof FileError) || !(await isLocked(path).catch(() => false))) throw error;
    const start = (await readAbout(about).catch(() => undefined))?.starts.at(-1);
    throw start ? error.followedBy(`; process ${start.pid} on ${start.host} started it last`) : error;
  }
}

/** An error of a full disk with what continues the run; any other as it is. */
export function withRoom(error: unknown, path: string): unknown {
  if (!(error instanceof FileError)) return error;
  const { code } = (error.cause ?? {}) as NodeJS.ErrnoException;
  return code === 'ENOSPC' || code === 'EDQUOT' ? error.followedBy(`: make room, then: ${resumption(path)}`) : error;
}

/** The command line that continues the run in a folder. */
export function resumption(path: string): string {
  return `${invocation()} --resume ${quoted(path)}`;
}

/** How the user started the command, for commands that are printed. */
export function invocation(): string {
  const by = process.env['npm_lifecycle_event'];
  if (by === 'start') return 'npm start --';
  return by === 'npx' ? 'npx deepzero train' : 'deepzero train';
}

/** A path as a word of a shell. */
export function quoted(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}
