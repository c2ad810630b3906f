/**
 * The paper's figures: `npm run experiment -- fig1 --quick`.
 *
 * @module
 */
import { run } from '../lib/cli/old/program.js';
import { experimentCommands } from './command.js';

await run({
  call: 'npm run experiment --',
  about: "The paper's figures, each as a table, a CSV file and a plot.",
  commands: experimentCommands,
});
