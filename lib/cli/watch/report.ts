/**
 * `deepzero report`: runs in one file that opens without a server.
 *
 * @module
 */
import { checkDestination, writeFileAtomically } from '../../support/files.js';
import { string } from '../../support/schema.js';
import { loadAssets } from '../../ui/assets.js';
import { reportOf } from '../../ui/report.js';
import type { Command } from '../command.js';
import { command, option } from '../command.js';
import { counted, grouped } from '../output.js';
import { runsAmong } from './options.js';

export const report: Command = command({
  name: 'report',
  summary: 'Writes runs into one HTML file: plots, results, and settings compared.',
  operands: ['RUN...'],
  notes:
    'A folder with runs in it stands for all of them. The file holds everything that it shows, host names too: it opens offline, can be ' +
    'sent and printed, and asks no server for anything. Runs may still go on; the report shows how far they are.',
  options: { out: option(string, { placeholder: 'FILE', help: 'HTML file to write' }) },
  async run({ out }, { operands, output }) {
    const runs = await runsAmong(operands);
    await checkDestination(out);
    const text = await reportOf(runs, await loadAssets());
    await writeFileAtomically(out, text);
    const bytes = Buffer.byteLength(text);
    output.line(`${counted(runs.length, 'run')} in ${out}, ${grouped(bytes / 1000)} kB`);
    return { out, runs, bytes };
  },
});
