/**
 * `deepzero runs`: the runs in a folder as a table, two or more of them side by side, and their logs for TensorBoard.
 *
 * @module
 */
import { configIn, findRuns, namesOf } from '../../runs/find.js';
import { RunFiles } from '../../runs/run-files.js';
import { summarise } from '../../runs/summary.js';
import type { RunSummary } from '../../runs/types.js';
import { FileError, InvalidArgumentError } from '../../support/errors.js';
import { exists } from '../../support/files.js';
import { RunFolder } from '../../training/folder.js';
import { EventFile } from '../../training/record/events.js';
import type { Command } from '../command.js';
import { command, flag } from '../command.js';
import type { Output } from '../output.js';
import { counted, table } from '../output.js';
import { resumption } from '../train/resume.js';
import { RUNS } from '../watch/options.js';
import { COLUMNS, remarksOn, rowOf } from './columns.js';
import type { ComparedRun } from './compare.js';
import { compare } from './compare.js';

const NOTES =
  'DIR is the folder of a run, or one that holds such folders; default: runs. Loss and accuracy are means over the last steps of the ' +
  'log, the test accuracy is that of the last test, and the time leaves out pauses. State: starting (before the first step), running, ' +
  'finished, stopped (deepzero train --resume DIR continues it, or the program that made it), failed, or killed (it did not say how it ' +
  'ended, and can be continued too). Why a run failed, and which files are broken, is said below the table; such folders are listed ' +
  'with what the others say.';

export const runs: Command = command({
  name: 'runs',
  summary: 'Lists runs with their state and results, or compares them.',
  operands: ['[DIR...]'],
  notes: NOTES,
  options: {
    compare: flag('show the settings in which the runs differ, and their results side by side'),
    tensorboard: flag("write an event file of TensorBoard from each run's log, except of runs that are under way"),
  },
  async run({ compare: side, tensorboard }, { operands, output }) {
    if (side && tensorboard) throw new InvalidArgumentError('Expected --compare or --tensorboard, received both');
    const folders = operands.length > 0 ? operands : [RUNS];
    // Without a run yet, the default folder does not exist.
    const paths = operands.length > 0 || (await exists(RUNS)) ? await findRuns(folders) : [];
    if (tensorboard) return convert(paths, output);
    if (side && paths.length < 2) {
      throw new InvalidArgumentError(
        `Expected --compare with the folders of two runs at least, received ${counted(paths.length, 'run')}`,
      );
    }
    const inOrder = await readAll(paths);
    if (side) return compare(inOrder, output);
    const found = inOrder.map(({ summary }) => summary).sort((a, b) => Date.parse(b.started) - Date.parse(a.started));
    if (found.length === 0) output.line(`No runs in ${folders.join(', ')}: deepzero train writes them into ${RUNS}/.`);
    else output.line(table([COLUMNS, ...found.map(rowOf)], 4));
    const remarks = found.flatMap(remarksOn);
    if (remarks.length > 0) output.line(`\n${remarks.join('\n')}`);
    await sayHowToContinue(found, output);
    return { runs: found };
  },
});

/** The command line that continues the first run of the command that was stopped or killed. */
async function sayHowToContinue(found: readonly RunSummary[], output: Output): Promise<void> {
  const paths: string[] = [];
  for (const { path, state } of found) {
    if ((state === 'stopped' || state === 'killed') && (await exists(configIn(path)))) paths.push(path);
  }
  const [first] = paths;
  if (first === undefined) return;
  const more = paths.length > 1 ? `, and ${paths.length - 1} more` : '';
  output.line(`\nTo continue: ${resumption(first)}${more}`);
}

/** Folders that are read at once. */
const AT_ONCE = 32;

/** The runs, in their order. */
async function readAll(paths: readonly string[]): Promise<ComparedRun[]> {
  const names = namesOf(paths);
  const read = async (path: string, i: number): Promise<ComparedRun> => {
    const files = new RunFiles(path);
    await files.update();
    return { summary: await summarise(files, names[i]!), settings: files.settings };
  };
  const found: ComparedRun[] = [];
  for (let i = 0; i < paths.length; i += AT_ONCE) {
    found.push(...(await Promise.all(paths.slice(i, i + AT_ONCE).map((path, j) => read(path, i + j)))));
  }
  return found;
}

async function writeEvents(path: string): Promise<void> {
  await using folder = await RunFolder.open(path);
  await (await EventFile.open(folder)).close();
}

/** Writes event files. */
async function convert(paths: readonly string[], output: Output): Promise<object> {
  const written: string[] = [];
  const skipped: { path: string; message: string }[] = [];
  for (const path of paths) {
    try {
      await writeEvents(path);
      written.push(path);
    } catch (error) {
      if (!(error instanceof FileError)) throw error;
      output.line(error.message);
      skipped.push({ path, message: error.message });
    }
  }
  output.line(`Event files of ${counted(written.length, 'run')} are written.`);
  return { written, skipped };
}
