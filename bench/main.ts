/**
 * Benchmarks: `npm run bench -- reuse --network cnn`.
 *
 * @module
 */
import { run } from '../lib/cli/old/program.js';
import { benchCommands } from './command.js';

await run({
  call: 'npm run bench --',
  about: 'Benchmarks of queries, passes, kernels and memory.',
  commands: benchCommands,
});
