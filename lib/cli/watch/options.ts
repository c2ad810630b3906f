/**
 * What the commands that show runs have in common.
 *
 * @module
 */
import { dirname, resolve } from 'node:path';

import * as v from 'valibot';

import { checkRun, findRuns } from '../../runs/find.js';
import { InvalidArgumentError } from '../../support/errors.js';
import { integer } from '../../support/schema.js';
import { MOST_RUNS } from '../../ui/feed.js';
import { DEFAULT_PORT } from '../../ui/server.js';
import type { Option } from '../command.js';
import { option } from '../command.js';

/** Where `deepzero train` puts runs. */
export const RUNS = 'runs';

/** The option `--port`. */
export const portOption: Option<number | undefined> = option(v.optional(integer(1, 65535)), {
  help: 'port of this machine at which the page is served',
  otherwise: `${DEFAULT_PORT}, or a free one if that is taken`,
});

/**
 * The runs among folders and directly in them.
 *
 * @throws FileError or InvalidArgumentError if there is none in one of them, or there are too many.
 */
export async function runsAmong(folders: readonly string[]): Promise<string[]> {
  const runs = await findRuns(folders);
  for (const folder of folders) if (!runs.some((run) => isIn(run, folder))) await checkRun(folder);
  checkCount(runs);
  return runs;
}

function isIn(run: string, folder: string): boolean {
  const [own, outer] = [resolve(run), resolve(folder)];
  return own === outer || dirname(own) === outer;
}

/**
 * Refuses operands that are not the folders of runs.
 *
 * @throws FileError or InvalidArgumentError
 */
export async function checkRuns(runs: readonly string[]): Promise<void> {
  checkCount(runs);
  for (const run of runs) await checkRun(run);
}

function checkCount({ length }: readonly string[]): void {
  if (length > MOST_RUNS) throw new InvalidArgumentError(`Expected at most ${MOST_RUNS} runs, received ${length}`);
}
