/**
 * Runs the unit tests once on every instruction set that this build has and this processor can run, but for the best one,
 * on which they run anyway; without those that start the command, which reaches the kernels through what the others test.
 *
 * @module
 */
import { native } from '../lib/native/addon.js';
import { run, script } from './run.js';

const COMMAND_TESTS = ['cli/*', 'bench/*', 'experiments/experiments', 'examples'].map((name) => `test/${name}.test.ts`);

for (const isa of native.supportedIsas.slice(1)) {
  console.log(`DEEPZERO_ISA=${isa}`);
  await script(() => {
    const tests = ['test/**/*.test.ts', ...COMMAND_TESTS.flatMap((file) => ['--exclude', file])];
    run('npx', ['mocha', '--reporter', 'dot', ...tests], { env: { ...process.env, DEEPZERO_ISA: isa } });
  });
}
