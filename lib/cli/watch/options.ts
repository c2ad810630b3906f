/**
 * What the commands that show runs have in common.
 *
 * @module
 */
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
  for (const folder of folders) if ((await findRuns([folder])).length === 0) await checkRun(folder);
  const runs = await findRuns(folders);
  await checkRuns(runs);
  return runs;
}

/**
 * Refuses operands that are not the folders of runs.
 *
 * @throws FileError or InvalidArgumentError
 */
export async function checkRuns(runs: readonly string[]): Promise<void> {
  if (runs.length > MOST_RUNS) {
    throw new InvalidArgumentError(`Expected at most ${MOST_RUNS} runs, received ${runs.length}`);
  }
  for (const run of runs) await checkRun(run);
}
