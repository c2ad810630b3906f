/**
 * Benchmarks: `npm run bench -- reuse --network cnn`.
 *
 * @module
 */
import { run } from '../lib/cli/program.js';
import { benchCommands } from './command.js';

await run({
  call: 'npm run bench --',
  about: 'Benchmarks of queries, passes, kernels and memory.',
  commands: benchCommands,
});
