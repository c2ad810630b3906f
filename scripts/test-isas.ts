/**
 * Runs the unit tests once on every instruction set that this build has and this processor can run, but for the best one,
 * on which they run anyway; without those of experiments, long runs of what the others test.
 *
 * @module
 */
import { native } from '../lib/native.js';
import { run, script } from './run.js';

for (const isa of native.supportedIsas.slice(1)) {
  console.log(`DEEPZERO_ISA=${isa}`);
  await script(() => {
    const tests = ['test/**/*.test.ts', '--exclude', 'test/experiments.test.ts'];
    run('npx', ['mocha', '--reporter', 'dot', ...tests], { env: { ...process.env, DEEPZERO_ISA: isa } });
  });
}
